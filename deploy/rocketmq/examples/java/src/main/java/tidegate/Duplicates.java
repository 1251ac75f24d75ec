package tidegate;

import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.Map;

/**
 * Tells a message that was here before. The bus delivers at least once: a sender that got no answer sends again, and
 * so does a bus whose consumer did not confirm.
 *
 * <p>A device that numbers its readings needs one row: the gateway keeps its order, so whatever is not above the last
 * {@code (boot, seq)} was here. Any other message has an id, and the last ids are remembered.
 *
 * <p>Lost with the process. Who must not act twice even across a restart keeps the row in the data base that the
 * effect goes to, and changes both in one transaction:
 *
 * <pre>
 * UPDATE last_seen SET boot = ?, seq = ? WHERE stream = ? AND (boot, seq) &lt; (?, ?)   -- no row changed: a duplicate
 * </pre>
 */
public final class Duplicates {
    private final int idsMax;
    private final Map<String, long[]> last = new HashMap<>();
    private final LinkedHashSet<String> ids = new LinkedHashSet<>();

    /** Remembers up to {@code idsMax} ids of messages without a number. */
    public Duplicates(int idsMax) {
        this.idsMax = idsMax;
    }

    /**
     * Whether this message was here before; remembers it.
     *
     * @param stream what is numbered in one line: topic, lane, tag and device; a split reading has a tag for each
     *     measurement, and an urgent lane overtakes the other
     * @param boot property {@code tg_boot}, or null
     * @param seq property {@code tg_seq}, or null
     * @param id property {@code uid}
     */
    public synchronized boolean isDuplicate(String stream, String boot, String seq, String id) {
        if (boot == null || seq == null) {
            return !isNewId(id);
        }
        long[] now = {Long.parseLong(boot), Long.parseUnsignedLong(seq)};
        long[] before = last.get(stream);
        if (before != null && !isAbove(now, before)) {
            return true;
        }
        last.put(stream, now);
        return false;
    }

    private static boolean isAbove(long[] now, long[] before) {
        return now[0] != before[0] ? now[0] > before[0] : Long.compareUnsigned(now[1], before[1]) > 0;
    }

    private boolean isNewId(String id) {
        if (!ids.add(id)) {
            return false;
        }
        if (ids.size() > idsMax) {
            Iterator<String> oldest = ids.iterator();
            oldest.next();
            oldest.remove();
        }
        return true;
    }
}
