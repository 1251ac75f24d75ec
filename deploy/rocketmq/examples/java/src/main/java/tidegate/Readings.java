package tidegate;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/** Prints each message as a line of JSON, those that were here before with {@code "duplicate":true}. */
public final class Readings {
    private static final int IDS_MAX = 100_000;
    private static final String HELP = String.join("\n",
        "  -nameServer HOST:PORT    127.0.0.1:9876; several with ; between them",
        "  -group NAME              monitor-consumer-group",
        "  -topic NAME              iot-topic; as often as there are topics",
        "  -tag 'A || B'            only these tags",
        "  -sql 'temperature > 35.0' only what fits; write decimals, see the README",
        "  -broadcast               every member of the group gets all",
        "  -concurrent              faster, without a device's order",
        "  -delayMs N               as if each message took that long",
        "  -user NAME -secretFile FILE");

    private final Duplicates duplicates = new Duplicates(IDS_MAX);
    private final long delayMs;

    private Readings(long delayMs) {
        this.delayMs = delayMs;
    }

    public static void main(String[] words) throws Exception {
        Options options = Options.read(words, HELP);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(
            options.group, options.credentials(), new AllocateMessageQueueAveragely());
        consumer.setNamesrvAddr(options.nameServer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        if (options.broadcast) {
            // Without the type's name, whose package is another in 4.9 than in 5.
            consumer.setMessageModel(Enum.valueOf(consumer.getMessageModel().getDeclaringClass(), "BROADCASTING"));
        }
        for (String topic : options.topics) {
            if (options.sql == null) {
                consumer.subscribe(topic, options.tag);
            } else {
                consumer.subscribe(topic, MessageSelector.bySql(options.sql));
            }
        }
        new Readings(options.delayMs).listen(consumer, options.isOrderly);
        consumer.start();
        System.err.println("listening to " + options.topics + " as " + options.group);
        Runtime.getRuntime().addShutdownHook(new Thread(consumer::shutdown));
    }

    /** An orderly listener holds a queue while it works: what one device sent comes in the order it was sent. */
    private void listen(DefaultMQPushConsumer consumer, boolean isOrderly) {
        if (isOrderly) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                print(messages);
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                print(messages);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
    }

    private void print(List<MessageExt> messages) {
        for (MessageExt message : messages) {
            if (delayMs > 0) {
                pause();
            }
            String line = line(message);
            synchronized (this) {
                System.out.println(line);
            }
        }
    }

    private void pause() {
        try {
            Thread.sleep(delayMs);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    private String line(MessageExt message) {
        String lane = message.getProperty("tg_lane");
        String stream = String.join(" ", message.getTopic(), lane, message.getTags(), message.getKeys());
        String uid = message.getProperty("uid");
        boolean isDuplicate = duplicates.isDuplicate(
            stream, message.getProperty("tg_boot"), message.getProperty("tg_seq"), uid == null ? message.getMsgId() : uid);
        StringBuilder line = new StringBuilder("{");
        text(line, "topic", message.getTopic()).append(',');
        text(line, "tags", message.getTags()).append(',');
        text(line, "keys", message.getKeys()).append(',');
        text(line, "id", message.getMsgId()).append(',');
        number(line, "queue", message.getQueueId()).append(',');
        number(line, "offset", message.getQueueOffset()).append(',');
        number(line, "born_ms", message.getBornTimestamp()).append(',');
        number(line, "stored_ms", message.getStoreTimestamp()).append(',');
        number(line, "received_ms", System.currentTimeMillis()).append(',');
        number(line, "retries", message.getReconsumeTimes()).append(',');
        line.append("\"duplicate\":").append(isDuplicate).append(",\"properties\":{");
        String comma = "";
        for (Map.Entry<String, String> property : new TreeMap<>(message.getProperties()).entrySet()) {
            text(line.append(comma), property.getKey(), property.getValue());
            comma = ",";
        }
        body(line.append("},"), message.getBody());
        return line.append('}').toString();
    }

    private static void body(StringBuilder line, byte[] body) {
        try {
            text(line, "body", StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(body)).toString());
        } catch (CharacterCodingException error) {
            text(line, "body_base64", Base64.getEncoder().encodeToString(body));
        }
    }

    private static StringBuilder number(StringBuilder line, String name, long value) {
        return line.append('"').append(name).append("\":").append(value);
    }

    private static StringBuilder text(StringBuilder line, String name, String value) {
        quoted(line, name).append(':');
        return value == null ? line.append("null") : quoted(line, value);
    }

    private static StringBuilder quoted(StringBuilder line, String text) {
        line.append('"');
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                line.append('\\').append(c);
            } else if (c < ' ') {
                line.append(String.format("\\u%04x", (int) c));
            } else {
                line.append(c);
            }
        }
        return line.append('"');
    }
}
