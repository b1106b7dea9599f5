package orderledger.local;

import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Runs one Elasticsearch node in this process until it is asked to end. It does what the distribution's own start-up
 * does, less what needs files that only the distribution carries (the entitlement agent, native libraries), and less
 * the bootstrap checks, which are about production.
 *
 * <p>Arguments: the folder with {@code modules/} and {@code plugins/}; the folder with {@code elasticsearch.yml}.
 */
public final class Node {
    private static final int CLOSE_SECONDS_MAX = 20;

    private Node() {}

    public static void main(String[] args) throws Exception {
        Path home = Path.of(args[0]).toAbsolutePath();
        Environment environment = configure(home, Path.of(args[1]).toAbsolutePath());
        var node = new org.elasticsearch.node.Node(environment, plugins(home));
        var closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, closed), "close-node"));
        try {
            node.start();
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
        closed.await();
    }

    private static Environment configure(Path home, Path configuration) throws Exception {
        LogConfigurator.registerErrorListener();
        Settings base = Settings.builder().put("path.home", home.toString()).build();
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(base, Map.of(), configuration, () -> "local-1");
        LogConfigurator.setNodeName(org.elasticsearch.node.Node.NODE_NAME_SETTING.get(environment.settings()));
        LogConfigurator.configure(environment, true);
        return environment;
    }

    private static PluginsLoader plugins(Path home) {
        // The server is on the class path, in the unnamed module: there are no exports of modules to arrange.
        boolean withServerExports = false;
        return PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(home.resolve("modules")),
            PluginsLoader.loadPluginsBundles(home.resolve("plugins")),
            Map.of(),
            withServerExports
        );
    }

    private static void close(org.elasticsearch.node.Node node, CountDownLatch closed) {
        try {
            node.prepareForClose();
            node.close();
            node.awaitClose(CLOSE_SECONDS_MAX, TimeUnit.SECONDS);
        } catch (Throwable failure) {
            failure.printStackTrace();
        } finally {
            closed.countDown();
        }
    }
}
