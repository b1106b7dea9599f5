package orderledger.local;

import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

import org.elasticsearch.ResourceNotFoundException;
import org.elasticsearch.action.ActionListener;
import org.elasticsearch.action.admin.indices.create.AutoCreateAction;
import org.elasticsearch.action.admin.indices.create.CreateIndexRequest;
import org.elasticsearch.action.support.master.AcknowledgedResponse;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.ClusterState;
import org.elasticsearch.cluster.ClusterStateUpdateTask;
import org.elasticsearch.cluster.metadata.ComposableIndexTemplate;
import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.cluster.metadata.MetadataDataStreamsService;
import org.elasticsearch.cluster.metadata.MetadataIndexTemplateService;
import org.elasticsearch.cluster.metadata.ProjectId;
import org.elasticsearch.cluster.metadata.ProjectMetadata;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.Priority;
import org.elasticsearch.common.Strings;
import org.elasticsearch.common.regex.Regex;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.index.Index;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.rest.action.RestToXContentListener;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * Answers PUT, GET and DELETE of {@code /_data_stream}, for a single node. Data streams themselves (backing indices,
 * rollover, writing, search) are in the server; the module of the distribution that has these endpoints, and the service
 * that carries out lifecycles, is not on Maven Central.
 */
final class DataStreamsHandler extends BaseRestHandler {
    private final ClusterService cluster;
    private final Settings settings;

    DataStreamsHandler(ClusterService cluster, Settings settings) {
        this.cluster = cluster;
        this.settings = settings;
    }

    private static boolean matches(String[] patterns, String name) {
        return patterns.length == 0 || Regex.simpleMatch(patterns, name) || List.of(patterns).contains("_all");
    }

    private static void checkFound(String[] patterns, Collection<DataStream> found) {
        for (String p : patterns) {
            if (Regex.isSimpleMatchPattern(p) == false && found.stream().noneMatch(d -> d.getName().equals(p))) {
                throw new ResourceNotFoundException("data_stream not found: [" + p + "]");
            }
        }
    }

    @Override
    public String getName() {
        return "order_ledger_data_stream";
    }

    @Override
    public List<Route> routes() {
        return List.of(
            new Route(RestRequest.Method.GET, "/_data_stream"),
            new Route(RestRequest.Method.GET, "/_data_stream/{name}"),
            new Route(RestRequest.Method.PUT, "/_data_stream/{name}"),
            new Route(RestRequest.Method.DELETE, "/_data_stream/{name}")
        );
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
        String[] names = Strings.splitStringByCommaToArray(request.param("name", ""));
        return switch (request.method()) {
            case PUT -> create(request.param("name"), client);
            case DELETE -> delete(names);
            default -> get(names);
        };
    }

    private ProjectMetadata project() {
        return cluster.state().metadata().getProject(ProjectId.DEFAULT);
    }

    private RestChannelConsumer create(String name, NodeClient client) {
        String template = MetadataIndexTemplateService.findV2Template(project(), name, false);
        ComposableIndexTemplate t = template == null ? null : project().templatesV2().get(template);
        if (t == null || t.getDataStreamTemplate() == null) {
            throw new IllegalArgumentException("no matching index template with a data stream found for [" + name + "]");
        }
        if (project().dataStreams().containsKey(name)) {
            throw new IllegalArgumentException("data_stream [" + name + "] already exists");
        }
        return channel -> client.execute(
            AutoCreateAction.INSTANCE,
            new CreateIndexRequest(name),
            new RestToXContentListener<>(channel, r -> RestStatus.OK)
                .delegateFailureAndWrap((l, r) -> channel.sendResponse(
                    new RestResponse(RestStatus.OK, channel.newBuilder().startObject().field("acknowledged", true).endObject())
                ))
        );
    }

    private RestChannelConsumer delete(String[] patterns) {
        return channel -> {
            ActionListener<AcknowledgedResponse> done = new RestToXContentListener<>(channel);
            cluster.submitUnbatchedStateUpdateTask("order-ledger-delete-data-stream", new ClusterStateUpdateTask(Priority.HIGH) {
                @Override
                public ClusterState execute(ClusterState state) {
                    Set<DataStream> found = new HashSet<>();
                    for (DataStream d : state.metadata().getProject(ProjectId.DEFAULT).dataStreams().values()) {
                        if (matches(patterns, d.getName())) {
                            found.add(d);
                        }
                    }
                    checkFound(patterns, found);
                    return found.isEmpty()
                        ? state
                        : MetadataDataStreamsService.deleteDataStreams(state.projectState(ProjectId.DEFAULT), found, settings);
                }

                @Override
                public void onFailure(Exception e) {
                    done.onFailure(e);
                }

                @Override
                public void clusterStateProcessed(ClusterState before, ClusterState after) {
                    done.onResponse(AcknowledgedResponse.TRUE);
                }
            });
        };
    }

    private RestChannelConsumer get(String[] patterns) {
        List<DataStream> found = project().dataStreams().values().stream().filter(d -> matches(patterns, d.getName())).toList();
        checkFound(patterns, found);
        return channel -> {
            XContentBuilder b = channel.newBuilder().startObject().startArray("data_streams");
            for (DataStream d : found) {
                b.startObject().field("name", d.getName());
                b.startObject("timestamp_field").field("name", DataStream.TIMESTAMP_FIELD_NAME).endObject();
                b.startArray("indices");
                for (Index i : d.getIndices()) {
                    b.startObject().field("index_name", i.getName()).field("index_uuid", i.getUUID()).endObject();
                }
                b.endArray();
                b.field("generation", d.getGeneration());
                b.field("template", MetadataIndexTemplateService.findV2Template(project(), d.getName(), false));
                b.field("hidden", d.isHidden()).field("system", d.isSystem()).field("replicated", d.isReplicated());
                b.endObject();
            }
            b.endArray().endObject();
            channel.sendResponse(new RestResponse(RestStatus.OK, b));
        };
    }
}
