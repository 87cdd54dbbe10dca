"""A recovery kit in the making: it counts once two of its words were typed back."""

from __future__ import annotations

from collections.abc import Mapping

from lutra.crypto.random import Random, system_random
from lutra.identity.device_log import KitConsent
from lutra.identity.errors import WordsError
from lutra.identity.recovery import RecoveryKit, Sheet


class NewKit:
    """Show the `sheet`, let the words at `places` be typed back, then ask for `tested`.

    It lives where it is shown: the node is given the kit's consent only, never its words.

    Args:
        person: id of the person it is for.
        name: what that person is called.
        made: the day, as people write it.
        random: source of the kit's secret.

    Attributes:
        sheet: what to print; secret.
        places: numbers, from 1, of the words to be typed back.
    """

    def __init__(self, person: bytes, name: str, made: str, random: Random = system_random) -> None:
        self._kit = RecoveryKit.generate(random)
        self._person = person
        self._random = random
        self.sheet: Sheet = self._kit.sheet(name, made)
        self.places = self._kit.places_to_test(random)

    def tested(self, typed: Mapping[int, str]) -> KitConsent:
        """Return the kit's consent to act for the person, which makes it count.

        Args:
            typed: number of a word → what was typed.

        Raises:
            WordsError: a word is missing or wrong; ``details["words"]`` tells which.
        """
        given = {place: typed.get(place, "") for place in self.places}
        wrong = self._kit.check_words(given)
        if wrong:
            numbers = " and ".join(str(place) for place in wrong)
            raise WordsError(f"Not what the sheet says: word {numbers}.", words=list(wrong))
        return self._kit.consent(self._person, self._random)

    def __repr__(self) -> str:
        return f"NewKit(mark={self._kit.mark!r})"
