"""Replication between two devices: sans-IO state machines over an ordered channel of frames.

Entry points: `lutra.sync.session.Session`, the protocol `lutra.sync.replica.SyncReplica` that the
owner implements, `lutra.sync.heads.HeadSet` and the outputs in `lutra.sync.events`.
"""
