import java.io.BufferedReader;
import java.io.InputStreamReader;

/**
 * A broker or controller that lives no longer than the test that started it: it halts when its
 * standard input ends, and shuts down cleanly when it reads "stop" there.
 */
public final class Broker {
    public static void main(String[] args) {
        Thread leash = new Thread(Broker::obey, "leash");
        leash.setDaemon(true);
        leash.start();
        kafka.Kafka.main(args);
    }

    private static void obey() {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                if (line.equals("stop")) {
                    // Not on this thread: exit runs the shutdown hooks, which may take a while,
                    // and the end of the input has to be noticed meanwhile.
                    new Thread(() -> System.exit(0), "stop").start();
                }
            }
        } catch (java.io.IOException gone) {
            // The same as the end of the input.
        }
        Runtime.getRuntime().halt(137);
    }
}
