package tidegate;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.remoting.RPCHook;

/** Words of the command line, for both programs. TLS goes by the client's own properties: see the README. */
final class Options {
    String nameServer = "127.0.0.1:9876";
    String group = "monitor-consumer-group";
    final List<String> topics = new ArrayList<>();
    String tag = "*";
    String sql;
    boolean broadcast;
    boolean isOrderly = true;
    long delayMs;
    private String user;
    private String secretFile;

    static Options read(String[] words, String help) {
        Options options = new Options();
        try {
            for (int i = 0; i < words.length; i++) {
                if (words[i].equals("-help")) {
                    throw new IllegalArgumentException("options:");
                } else if (words[i].equals("-broadcast")) {
                    options.broadcast = true;
                } else if (words[i].equals("-concurrent")) {
                    options.isOrderly = false;
                } else {
                    options.take(words[i], words[++i]);
                }
            }
        } catch (IllegalArgumentException | ArrayIndexOutOfBoundsException error) {
            System.err.println(error.getMessage() + "\n" + help);
            System.exit(2);
        }
        if (options.topics.isEmpty()) {
            options.topics.add("iot-topic");
        }
        return options;
    }

    private void take(String name, String value) {
        switch (name) {
            case "-nameServer": nameServer = value; break;
            case "-group": group = value; break;
            case "-topic": topics.add(value); break;
            case "-tag": tag = value; break;
            case "-sql": sql = value; break;
            case "-delayMs": delayMs = Long.parseLong(value); break;
            case "-user": user = value; break;
            case "-secretFile": secretFile = value; break;
            default: throw new IllegalArgumentException("unknown option " + name);
        }
    }

    /** Signs requests as the user, or null without one. */
    RPCHook credentials() throws Exception {
        if (user == null) {
            return null;
        }
        String secret = Files.readString(Path.of(secretFile)).trim();
        return new AclClientRPCHook(new SessionCredentials(user, secret));
    }
}
