package orderledger.local;

import java.io.IOException;
import java.util.Map;

import org.elasticsearch.common.util.DoubleArray;
import org.elasticsearch.common.util.LongArray;
import org.elasticsearch.core.Releasables;
import org.elasticsearch.index.fielddata.HistogramValue;
import org.elasticsearch.search.DocValueFormat;
import org.elasticsearch.search.aggregations.AggregationExecutionContext;
import org.elasticsearch.search.aggregations.Aggregator;
import org.elasticsearch.search.aggregations.InternalAggregation;
import org.elasticsearch.search.aggregations.LeafBucketCollector;
import org.elasticsearch.search.aggregations.metrics.AvgAggregationBuilder;
import org.elasticsearch.search.aggregations.metrics.InternalAvg;
import org.elasticsearch.search.aggregations.metrics.InternalValueCount;
import org.elasticsearch.search.aggregations.metrics.Max;
import org.elasticsearch.search.aggregations.metrics.MaxAggregationBuilder;
import org.elasticsearch.search.aggregations.metrics.MetricAggregatorSupplier;
import org.elasticsearch.search.aggregations.metrics.Min;
import org.elasticsearch.search.aggregations.metrics.MinAggregationBuilder;
import org.elasticsearch.search.aggregations.metrics.NumericMetricsAggregator;
import org.elasticsearch.search.aggregations.metrics.Sum;
import org.elasticsearch.search.aggregations.metrics.SumAggregationBuilder;
import org.elasticsearch.search.aggregations.metrics.ValueCountAggregationBuilder;
import org.elasticsearch.search.aggregations.support.AggregationContext;
import org.elasticsearch.search.aggregations.support.ValuesSourceConfig;
import org.elasticsearch.search.aggregations.support.ValuesSourceRegistry;
import org.elasticsearch.search.aggregations.support.ValuesSourceRegistry.RegistryKey;

/** {@code sum}, {@code avg}, {@code min}, {@code max} and {@code value_count} of histograms: each value counts as often as its count says. */
final class HistogramMetric extends NumericMetricsAggregator.SingleValue {
    private enum Kind {
        SUM,
        AVG,
        MIN,
        MAX,
        VALUE_COUNT
    }

    private final Kind kind;
    private final HistogramValuesSource source;
    private final DocValueFormat format;
    private LongArray counts;
    private DoubleArray sums;
    private DoubleArray least;
    private DoubleArray most;

    static void register(ValuesSourceRegistry.Builder builder) {
        register(builder, SumAggregationBuilder.REGISTRY_KEY, Kind.SUM);
        register(builder, AvgAggregationBuilder.REGISTRY_KEY, Kind.AVG);
        register(builder, MinAggregationBuilder.REGISTRY_KEY, Kind.MIN);
        register(builder, MaxAggregationBuilder.REGISTRY_KEY, Kind.MAX);
        register(builder, ValueCountAggregationBuilder.REGISTRY_KEY, Kind.VALUE_COUNT);
    }

    private static void register(ValuesSourceRegistry.Builder builder, RegistryKey<MetricAggregatorSupplier> key, Kind kind) {
        builder.register(
            key,
            HistogramValuesSource.TYPE,
            (name, values, context, parent, metadata) -> new HistogramMetric(kind, name, values, context, parent, metadata),
            true
        );
    }

    private HistogramMetric(
        Kind kind,
        String name,
        ValuesSourceConfig values,
        AggregationContext context,
        Aggregator parent,
        Map<String, Object> metadata
    ) throws IOException {
        super(name, context, parent, metadata);
        this.kind = kind;
        this.source = (HistogramValuesSource) values.getValuesSource();
        this.format = values.format();
        this.counts = bigArrays().newLongArray(1);
        this.sums = bigArrays().newDoubleArray(1);
        this.least = bigArrays().newDoubleArray(1);
        this.most = bigArrays().newDoubleArray(1);
    }

    @Override
    protected LeafBucketCollector getLeafCollector(AggregationExecutionContext segment, LeafBucketCollector sub) throws IOException {
        return source.collector(segment.getLeafReaderContext(), sub, this::add);
    }

    private void add(long bucket, HistogramValue histogram) throws IOException {
        counts = bigArrays().grow(counts, bucket + 1);
        sums = bigArrays().grow(sums, bucket + 1);
        least = bigArrays().grow(least, bucket + 1);
        most = bigArrays().grow(most, bucket + 1);
        while (histogram.next()) {
            double value = histogram.value();
            boolean first = counts.get(bucket) == 0;
            least.set(bucket, first ? value : Math.min(least.get(bucket), value));
            most.set(bucket, first ? value : Math.max(most.get(bucket), value));
            sums.increment(bucket, value * histogram.count());
            counts.increment(bucket, histogram.count());
        }
    }

    private long count(long bucket) {
        return bucket < counts.size() ? counts.get(bucket) : 0;
    }

    @Override
    public double metric(long bucket) {
        long count = count(bucket);
        return switch (kind) {
            case SUM -> count == 0 ? 0 : sums.get(bucket);
            case AVG -> count == 0 ? Double.NaN : sums.get(bucket) / count;
            case MIN -> count == 0 ? Double.POSITIVE_INFINITY : least.get(bucket);
            case MAX -> count == 0 ? Double.NEGATIVE_INFINITY : most.get(bucket);
            case VALUE_COUNT -> count;
        };
    }

    @Override
    public InternalAggregation buildAggregation(long bucket) {
        long count = count(bucket);
        return switch (kind) {
            case SUM -> new Sum(name, metric(bucket), format, metadata());
            case AVG -> new InternalAvg(name, count == 0 ? 0 : sums.get(bucket), count, format, metadata());
            case MIN -> new Min(name, metric(bucket), format, metadata());
            case MAX -> new Max(name, metric(bucket), format, metadata());
            case VALUE_COUNT -> new InternalValueCount(name, count, metadata());
        };
    }

    @Override
    public InternalAggregation buildEmptyAggregation() {
        return switch (kind) {
            case SUM -> Sum.empty(name, format, metadata());
            case AVG -> InternalAvg.empty(name, format, metadata());
            case MIN -> Min.createEmptyMin(name, format, metadata());
            case MAX -> Max.createEmptyMax(name, format, metadata());
            case VALUE_COUNT -> InternalValueCount.empty(name, metadata());
        };
    }

    @Override
    protected void doClose() {
        Releasables.close(counts, sums, least, most);
    }
}
