package tidegate;

import java.nio.file.Files;
import java.nio.file.Path;

/** Runs {@link Duplicates} through {@code ../duplicates.csv}, which the Python recipe is checked with as well. */
public final class DuplicatesCheck {
    private DuplicatesCheck() {}

    public static void main(String[] arguments) throws Exception {
        Duplicates duplicates = null;
        int checked = 0;
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            String[] words = line.split(",", -1);
            if (words[0].equals("remember")) {
                duplicates = new Duplicates(Integer.parseInt(words[1]));
                continue;
            }
            boolean found = duplicates.isDuplicate(words[0], orNull(words[1]), orNull(words[2]), words[3]);
            if (found != words[4].equals("duplicate")) {
                System.out.println("wrong: " + line);
                System.exit(1);
            }
            checked++;
        }
        System.out.println(checked + " checked");
    }

    private static String orNull(String word) {
        return word.isEmpty() ? null : word;
    }
}
