package tidegate;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.message.Message;

/**
 * Sends readings without a gateway, to try consumers with: a line of standard input is
 * {@code DEVICE MEASUREMENT VALUE [NAME=VALUE ...]}, and becomes the message that the gateway makes of it.
 */
public final class Send {
    private static final String HELP =
        "  -nameServer HOST:PORT    127.0.0.1:9876\n  -topic NAME              iot-topic\n  -user NAME -secretFile FILE";

    private Send() {}

    public static void main(String[] words) throws Exception {
        Options options = Options.read(words, HELP);
        DefaultMQProducer producer = new DefaultMQProducer("iot-sensor-producer", options.credentials());
        producer.setNamesrvAddr(options.nameServer);
        producer.start();
        try {
            sendAll(producer, options.topics.get(0));
        } finally {
            // Its threads would keep the program alive.
            producer.shutdown();
        }
    }

    private static void sendAll(DefaultMQProducer producer, String topic) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            Message message = message(topic, line.split(" "));
            // The queue by the device, so that what it sends stays in order.
            SendResult result = producer.send(message, new SelectMessageQueueByHash(), message.getKeys());
            System.out.println(result.getSendStatus() + " " + result.getMsgId() + " queue "
                + result.getMessageQueue().getQueueId() + " offset " + result.getQueueOffset());
        }
    }

    private static Message message(String topic, String[] words) {
        String body = words[0] + "," + words[2];
        Message message = new Message(topic, words[1], words[0], body.getBytes(StandardCharsets.UTF_8));
        message.putUserProperty(words[1], words[2]);
        message.putUserProperty("tg_dev", words[0]);
        for (int i = 3; i < words.length; i++) {
            String[] pair = words[i].split("=", 2);
            message.putUserProperty(pair[0], pair[1]);
        }
        return message;
    }
}
