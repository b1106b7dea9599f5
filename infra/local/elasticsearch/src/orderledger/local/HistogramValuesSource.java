package orderledger.local;

import java.io.IOException;
import java.util.Locale;
import java.util.function.Function;
import java.util.function.LongSupplier;

import org.apache.lucene.index.LeafReaderContext;
import org.elasticsearch.common.Rounding;
import org.elasticsearch.index.fielddata.DocValueBits;
import org.elasticsearch.index.fielddata.HistogramValue;
import org.elasticsearch.index.fielddata.HistogramValues;
import org.elasticsearch.index.fielddata.IndexHistogramFieldData;
import org.elasticsearch.index.fielddata.SortedBinaryDocValues;
import org.elasticsearch.script.AggregationScript;
import org.elasticsearch.search.DocValueFormat;
import org.elasticsearch.search.aggregations.LeafBucketCollector;
import org.elasticsearch.search.aggregations.LeafBucketCollectorBase;
import org.elasticsearch.search.aggregations.support.AggregationContext;
import org.elasticsearch.search.aggregations.support.FieldContext;
import org.elasticsearch.search.aggregations.support.ValueType;
import org.elasticsearch.search.aggregations.support.ValuesSource;
import org.elasticsearch.search.aggregations.support.ValuesSourceType;

/** Gives aggregations the histograms of a field, of each segment; of a field that is not there, none. */
final class HistogramValuesSource extends ValuesSource {
    static final ValuesSourceType TYPE = Type.HISTOGRAM;

    private static final HistogramValues NONE = new HistogramValues() {
        @Override
        public boolean advanceExact(int document) {
            return false;
        }

        @Override
        public HistogramValue histogram() {
            throw new IllegalStateException("there is none");
        }
    };

    /** Null stands for a field that is not there. */
    private final IndexHistogramFieldData field;

    private HistogramValuesSource(IndexHistogramFieldData field) {
        this.field = field;
    }

    /** What an aggregation does with the histogram of a document that is in a bucket. */
    @FunctionalInterface
    interface Sink {
        void add(long bucket, HistogramValue histogram) throws IOException;
    }

    /** Gives the histogram of each document of a segment that has one. */
    LeafBucketCollector collector(LeafReaderContext segment, LeafBucketCollector sub, Sink sink) throws IOException {
        HistogramValues histograms = histograms(segment);
        return new LeafBucketCollectorBase(sub, histograms) {
            @Override
            public void collect(int document, long bucket) throws IOException {
                if (histograms.advanceExact(document)) {
                    sink.add(bucket, histograms.histogram());
                }
            }
        };
    }

    private HistogramValues histograms(LeafReaderContext segment) throws IOException {
        return field == null ? NONE : field.load(segment).getHistogramValues();
    }

    @Override
    public DocValueBits docsWithValue(LeafReaderContext segment) throws IOException {
        HistogramValues histograms = histograms(segment);
        return new DocValueBits() {
            @Override
            public boolean advanceExact(int document) throws IOException {
                return histograms.advanceExact(document);
            }
        };
    }

    @Override
    public SortedBinaryDocValues bytesValues(LeafReaderContext segment) {
        throw new IllegalArgumentException("fields of type [histogram] have no bytes to aggregate");
    }

    @Override
    protected Function<Rounding, Rounding.Prepared> roundingPreparer(AggregationContext context) {
        throw new IllegalArgumentException("fields of type [histogram] can't be rounded");
    }

    private enum Type implements ValuesSourceType {
        HISTOGRAM;

        @Override
        public ValuesSource getEmpty() {
            return new HistogramValuesSource(null);
        }

        @Override
        public ValuesSource getScript(AggregationScript.LeafFactory script, ValueType scriptValueType) {
            throw new IllegalArgumentException("a script can't make histograms");
        }

        @Override
        public ValuesSource getField(FieldContext context, AggregationScript.LeafFactory script) {
            if (context.indexFieldData() instanceof IndexHistogramFieldData field) {
                return new HistogramValuesSource(field);
            }
            throw new IllegalArgumentException("field [" + context.field() + "] is no [histogram]");
        }

        @Override
        public ValuesSource replaceMissing(ValuesSource source, Object missing, DocValueFormat format, LongSupplier now) {
            throw new IllegalArgumentException("[missing] can't be said of fields of type [histogram]");
        }

        @Override
        public String typeName() {
            return name().toLowerCase(Locale.ROOT);
        }
    }
}
