import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Real Kafka clients and tools behind a line protocol, so that a test pays for one JVM only.
 *
 * <p>A request is one line: a command and words "key=value". An answer is any number of lines
 * "| text" and then one line "ok key=value ..." or "err text". The program ends with its input.
 */
public final class Workload {
    /** One request's arguments. */
    static final class Args {
        private final Map<String, String> values = new LinkedHashMap<>();

        Args(String[] words) {
            for (int i = 1; i < words.length; i++) {
                int cut = words[i].indexOf('=');
                if (cut < 1) throw new IllegalArgumentException("not key=value: " + words[i]);
                values.put(words[i].substring(0, cut), words[i].substring(cut + 1));
            }
        }

        String text(String key) {
            String value = values.get(key);
            if (value == null) throw new IllegalArgumentException("missing " + key + "=");
            return value;
        }

        String text(String key, String otherwise) {
            return values.getOrDefault(key, otherwise);
        }

        int number(String key) {
            return Integer.parseInt(text(key));
        }

        int number(String key, int otherwise) {
            return Integer.parseInt(text(key, Integer.toString(otherwise)));
        }

        long count(String key, long otherwise) {
            return Long.parseLong(text(key, Long.toString(otherwise)));
        }

        boolean flag(String key) {
            return Boolean.parseBoolean(text(key, "false"));
        }

        /** What stands behind a prefix, as in "c.segment.ms=1000". */
        Map<String, String> under(String prefix) {
            Map<String, String> found = new LinkedHashMap<>();
            values.forEach((key, value) -> {
                if (key.startsWith(prefix)) found.put(key.substring(prefix.length()), value);
            });
            return found;
        }
    }

    /** One answer, as it grows. */
    static final class Answer {
        private final StringBuilder lines = new StringBuilder();
        private final StringBuilder fields = new StringBuilder();

        void line(String text) {
            lines.append("| ").append(text.replace('\n', ' ')).append('\n');
        }

        Answer field(String key, Object value) {
            fields.append(' ').append(key).append('=').append(value);
            return this;
        }
    }

    interface Command {
        void run(Args args, Answer answer) throws Exception;
    }

    private static final Map<String, Command> COMMANDS = new LinkedHashMap<>();

    public static void main(String[] args) throws Exception {
        PrintStream reply = new PrintStream(new FileOutputStream(FileDescriptor.out), false, "UTF-8");
        Tools.takeOverStreams();
        Topics.register(COMMANDS);
        Writing.register(COMMANDS);
        Menagerie.register(COMMANDS);
        Reading.register(COMMANDS);
        Watching.register(COMMANDS);
        Clients.register(COMMANDS);
        Tools.register(COMMANDS);
        BufferedReader in =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            // An orderly end, of which a JVM may write down what it has loaded.
            if (line.equals("stop")) System.exit(0);
            reply.print(answer(line));
            reply.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static String answer(String line) {
        Answer answer = new Answer();
        try {
            String[] words = line.trim().split(" +");
            Command command = COMMANDS.get(words[0]);
            if (command == null) throw new IllegalArgumentException("no command " + words[0]);
            command.run(new Args(words), answer);
            return answer.lines + "ok" + answer.fields + "\n";
        } catch (Throwable failure) {
            failure.printStackTrace();
            Throwable cause = failure;
            while (cause.getCause() != null && cause.getMessage() == null) cause = cause.getCause();
            return answer.lines + "err " + cause.toString().replace('\n', ' ') + "\n";
        }
    }
}
