from collections.abc import Callable

class SPAKEError(Exception): ...

class SPAKE2_A:
    def __init__(
        self,
        password: bytes,
        idA: bytes = ...,
        idB: bytes = ...,
        *,
        entropy_f: Callable[[int], bytes] = ...,
    ) -> None: ...
    def start(self) -> bytes: ...
    def finish(self, inbound_side_and_message: bytes) -> bytes: ...

class SPAKE2_B(SPAKE2_A): ...
