import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.kafka.common.utils.Exit;

/** Kafka's command-line tools, run inside this JVM with what they print captured. */
final class Tools {
    private static final Switch OUT = new Switch();
    private static final Switch ERR = new Switch();

    static void register(Map<String, Workload.Command> commands) {
        commands.put("format", Tools::format);
        commands.put("dump", Tools::dump);
        commands.put("dumped", Tools::dumped);
    }

    /**
     * Has to come first of all: Scala's console and log4j keep the streams that they find when they
     * are loaded. Also turns the tools' exit into an exception.
     */
    static void takeOverStreams() {
        System.setOut(new PrintStream(OUT, true));
        System.setErr(new PrintStream(ERR, true));
        Exit.setExitProcedure((code, message) -> {
            throw new Exited(code, message);
        });
    }

    /**
     * Formats a node's log directory: config= its properties file, cluster= the cluster's id; voters= the
     * first controllers (id@host:port:directory) of a cluster whose controllers agree upon who they are,
     * or none for a node that is not among them.
     */
    private static void format(Workload.Args args, Workload.Answer answer) throws Exception {
        StringBuilder said = new StringBuilder();
        List<String> words = new ArrayList<>(
            List.of("format", "-t", args.text("cluster"), "-c", args.text("config")));
        String voters = args.text("voters", "");
        if (voters.equals("none")) words.add("--no-initial-controllers");
        else if (!voters.isEmpty()) words.addAll(List.of("--initial-controllers", voters));
        int code = run("kafka.tools.StorageTool", line -> said.append(line).append(" / "),
            line -> said.append(line).append(" / "), words.toArray(new String[0]));
        if (code != 0) throw new IllegalStateException("format: " + said);
    }

    /**
     * DumpLogSegments over every file that is listed in list=; answers one line for each complaint.
     * Offsets that are not consecutive are no complaint: compaction makes them.
     */
    private static void dump(Workload.Args args, Workload.Answer answer) throws Exception {
        List<String> files = Files.readAllLines(Path.of(args.text("list")));
        long[] seen = new long[2];
        Consumer<String> out = line -> {
            if (line.startsWith("Dumping ")) seen[0]++;
            if (line.contains("isvalid: true")) seen[1]++;
            if (line.contains("isvalid: false") || line.contains("invalid bytes")) answer.line(line);
        };
        Consumer<String> err = line -> {
            boolean gap = line.startsWith("Non-consecutive offsets") || line.contains(" is followed by ");
            if (!gap && !line.isBlank() && !line.startsWith("[")) answer.line(line);
        };
        // A long list would not fit into a process's arguments, but this is a call.
        int code = run(dumpClass(), out, err, "--verify-index-only", "--deep-iteration",
            "--max-message-size", "16777216", "--files", String.join(",", files));
        if (code != 0) answer.line("DumpLogSegments ended with " + code);
        answer.field("files", seen[0]).field("batches", seen[1]);
    }

    /** DumpLogSegments over every file that is listed in list=; answers every line that it prints. */
    private static void dumped(Workload.Args args, Workload.Answer answer) throws Exception {
        List<String> files = Files.readAllLines(Path.of(args.text("list")));
        StringBuilder said = new StringBuilder();
        int code = run(dumpClass(), answer::line, line -> said.append(line).append(" / "),
            "--max-message-size", "16777216", "--files", String.join(",", files));
        if (code != 0) throw new IllegalStateException("DumpLogSegments ended with " + code + ": " + said);
    }

    private static String dumpClass() {
        for (String name : List.of("org.apache.kafka.tools.DumpLogSegments", "kafka.tools.DumpLogSegments")) {
            try {
                return Class.forName(name).getName();
            } catch (ClassNotFoundException elsewhere) {
                // It moved between releases.
            }
        }
        throw new IllegalStateException("no DumpLogSegments in this release");
    }

    private static int run(String tool, Consumer<String> out, Consumer<String> err, String... args)
        throws Exception {
        OUT.to(out);
        ERR.to(err);
        try {
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) args);
            return 0;
        } catch (java.lang.reflect.InvocationTargetException thrown) {
            if (thrown.getCause() instanceof Exited exited) return exited.code;
            err.accept(thrown.getCause().toString());
            return 1;
        } finally {
            System.out.flush();
            System.err.flush();
            OUT.to(null);
            ERR.to(null);
        }
    }

    private static final class Exited extends RuntimeException {
        final int code;

        Exited(int code, String message) {
            super(message);
            this.code = code;
        }
    }

    /** A stream that hands lines to whoever listens, else passes bytes on to the real stderr. */
    private static final class Switch extends OutputStream {
        private final OutputStream real = new FileOutputStream(FileDescriptor.err);
        private final ByteArrayOutputStream line = new ByteArrayOutputStream();
        private Consumer<String> listener;

        synchronized void to(Consumer<String> next) {
            if (listener != null && line.size() > 0) listener.accept(line.toString());
            line.reset();
            listener = next;
        }

        @Override
        public synchronized void write(int b) throws java.io.IOException {
            if (listener == null) {
                real.write(b);
            } else if (b == '\n') {
                listener.accept(line.toString());
                line.reset();
            } else {
                line.write(b);
            }
        }

        @Override
        public synchronized void write(byte[] bytes, int from, int length) throws java.io.IOException {
            if (listener == null) {
                real.write(bytes, from, length);
            } else {
                for (int i = from; i < from + length; i++) write(bytes[i]);
            }
        }
    }
}
