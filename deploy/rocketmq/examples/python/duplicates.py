"""Tells a message that was here before.

The bus delivers at least once: a sender that got no answer sends again, and so does a bus whose consumer did not
confirm. A device that numbers its readings needs one row: the gateway keeps its order, so whatever is not above the
last (boot, seq) was here. Any other message has an id, and the last ids are remembered.

Lost with the process. Who must not act twice even across a restart keeps the row in the data base that the effect goes
to, and changes both in one transaction:

    UPDATE last_seen SET boot = ?, seq = ? WHERE stream = ? AND (boot, seq) < (?, ?)   -- no row changed: a duplicate
"""

from collections import OrderedDict


class Duplicates:
    def __init__(self, ids_max=100_000):
        self.ids_max = ids_max
        self.last = {}
        self.ids = OrderedDict()

    def is_duplicate(self, stream, boot, seq, uid):
        """Whether this message was here before; remembers it.

        `stream` is what is numbered in one line: topic, lane, tag and device; a split reading has a tag for each
        measurement, and an urgent lane overtakes the other. `boot`, `seq` and `uid` are the properties tg_boot,
        tg_seq (None when there is none) and uid.
        """
        if boot is None or seq is None:
            return not self.is_new_id(uid)
        now = (int(boot), int(seq))
        if now <= self.last.get(stream, (-1, -1)):
            return True
        self.last[stream] = now
        return False

    def is_new_id(self, uid):
        if uid in self.ids:
            return False
        self.ids[uid] = None
        if len(self.ids) > self.ids_max:
            self.ids.popitem(last=False)
        return True
