package orderledger.local;

import java.io.IOException;
import java.util.Map;

import org.elasticsearch.common.util.ObjectArray;
import org.elasticsearch.core.Releasables;
import org.elasticsearch.index.fielddata.HistogramValue;
import org.elasticsearch.search.DocValueFormat;
import org.elasticsearch.search.aggregations.AggregationExecutionContext;
import org.elasticsearch.search.aggregations.Aggregator;
import org.elasticsearch.search.aggregations.InternalAggregation;
import org.elasticsearch.search.aggregations.LeafBucketCollector;
import org.elasticsearch.search.aggregations.metrics.InternalTDigestPercentiles;
import org.elasticsearch.search.aggregations.metrics.NumericMetricsAggregator;
import org.elasticsearch.search.aggregations.metrics.PercentilesAggregationBuilder;
import org.elasticsearch.search.aggregations.metrics.PercentilesConfig;
import org.elasticsearch.search.aggregations.metrics.TDigestExecutionHint;
import org.elasticsearch.search.aggregations.metrics.TDigestState;
import org.elasticsearch.search.aggregations.support.AggregationContext;
import org.elasticsearch.search.aggregations.support.ValuesSourceConfig;
import org.elasticsearch.search.aggregations.support.ValuesSourceRegistry;

/**
 * {@code percentiles} of histograms: each value goes into the server's own t-digest as often as its count says. The other
 * method, {@code hdr}, is refused.
 */
final class HistogramPercentiles extends NumericMetricsAggregator.MultiValue {
    private final HistogramValuesSource source;
    private final double[] percents;
    private final double compression;
    private final TDigestExecutionHint hint;
    private final boolean keyed;
    private final DocValueFormat format;
    private ObjectArray<TDigestState> digests;

    static void register(ValuesSourceRegistry.Builder builder) {
        builder.register(
            PercentilesAggregationBuilder.REGISTRY_KEY,
            HistogramValuesSource.TYPE,
            (name, values, context, parent, percents, method, keyed, format, metadata) -> {
                if (method instanceof PercentilesConfig.TDigest tdigest) {
                    return new HistogramPercentiles(name, values, context, parent, percents, tdigest, keyed, format, metadata);
                }
                throw new IllegalArgumentException("percentiles of a [histogram] take the method [tdigest] here, no other");
            },
            true
        );
    }

    private HistogramPercentiles(
        String name,
        ValuesSourceConfig values,
        AggregationContext context,
        Aggregator parent,
        double[] percents,
        PercentilesConfig.TDigest method,
        boolean keyed,
        DocValueFormat format,
        Map<String, Object> metadata
    ) throws IOException {
        super(name, context, parent, metadata);
        this.source = (HistogramValuesSource) values.getValuesSource();
        this.percents = percents;
        this.compression = method.getCompression();
        this.hint = method.getExecutionHint(context);
        this.keyed = keyed;
        this.format = format;
        this.digests = bigArrays().newObjectArray(1);
    }

    @Override
    protected LeafBucketCollector getLeafCollector(AggregationExecutionContext segment, LeafBucketCollector sub) throws IOException {
        return source.collector(segment.getLeafReaderContext(), sub, this::add);
    }

    private void add(long bucket, HistogramValue histogram) throws IOException {
        TDigestState digest = digest(bucket);
        while (histogram.next()) {
            digest.add(histogram.value(), histogram.count());
        }
    }

    private TDigestState digest(long bucket) {
        digests = bigArrays().grow(digests, bucket + 1);
        TDigestState digest = digests.get(bucket);
        if (digest == null) {
            digest = TDigestState.createWithoutCircuitBreaking(compression, hint);
            digests.set(bucket, digest);
        }
        return digest;
    }

    private TDigestState found(long bucket) {
        return bucket < digests.size() ? digests.get(bucket) : null;
    }

    @Override
    public InternalAggregation buildAggregation(long bucket) {
        TDigestState digest = found(bucket);
        return digest == null
            ? buildEmptyAggregation()
            : new InternalTDigestPercentiles(name, percents, digest, keyed, format, metadata());
    }

    @Override
    public InternalAggregation buildEmptyAggregation() {
        return InternalTDigestPercentiles.empty(name, percents, keyed, format, metadata());
    }

    @Override
    public boolean hasMetric(String percent) {
        return PercentilesConfig.indexOfKey(percents, Double.parseDouble(percent)) >= 0;
    }

    @Override
    public double metric(String percent, long bucket) {
        TDigestState digest = found(bucket);
        return digest == null ? Double.NaN : digest.quantile(Double.parseDouble(percent) / 100);
    }

    @Override
    protected void doClose() {
        Releasables.close(digests);
    }
}
