package orderledger.local;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

import org.apache.lucene.util.BytesRef;
import org.elasticsearch.common.io.stream.ByteArrayStreamInput;
import org.elasticsearch.common.io.stream.BytesStreamOutput;
import org.elasticsearch.index.fielddata.HistogramValue;
import org.elasticsearch.xcontent.XContentParser;
import org.elasticsearch.xcontent.XContentParser.Token;

/**
 * The content of one field: values in ascending order, each with how often it came. In a document it is an object of two
 * arrays, {@code values} and {@code counts}; in doc values, pairs of a count and a value.
 */
final class Histogram {
    private Histogram() {}

    /**
     * Reads the object that the parser stands on, up to its end, and writes it as it is kept. Values that came zero times
     * are left out.
     */
    static BytesRef encode(String field, XContentParser parser) throws IOException {
        if (parser.currentToken() != Token.START_OBJECT) {
            throw refused(field, "must be an object with [values] and [counts], not " + parser.currentToken());
        }
        List<Double> values = null;
        List<Long> counts = null;
        while (parser.nextToken() != Token.END_OBJECT) {
            String name = parser.currentName();
            if (parser.nextToken() != Token.START_ARRAY) {
                throw refused(field, "[" + name + "] must be an array");
            }
            switch (name) {
                case "values" -> values = values(field, parser);
                case "counts" -> counts = counts(field, parser);
                default -> throw refused(field, "has the unknown parameter [" + name + "]");
            }
        }
        if (values == null || counts == null) {
            throw refused(field, "must have both [values] and [counts]");
        }
        if (values.size() != counts.size()) {
            throw refused(field, "has " + values.size() + " [values] and " + counts.size() + " [counts]");
        }
        try (BytesStreamOutput out = new BytesStreamOutput()) {
            for (int i = 0; i < values.size(); i++) {
                if (counts.get(i) > 0) {
                    out.writeVLong(counts.get(i));
                    out.writeDouble(values.get(i));
                }
            }
            return out.copyBytes().toBytesRef();
        }
    }

    private static List<Double> values(String field, XContentParser parser) throws IOException {
        List<Double> values = new ArrayList<>();
        double last = Double.NEGATIVE_INFINITY;
        while (parser.nextToken() != Token.END_ARRAY) {
            double value = parser.doubleValue();
            if (Double.isFinite(value) == false) {
                throw refused(field, "[values] must be finite numbers");
            }
            if (value < last) {
                throw refused(field, "[values] must be in ascending order, but " + value + " follows " + last);
            }
            values.add(value);
            last = value;
        }
        return values;
    }

    private static List<Long> counts(String field, XContentParser parser) throws IOException {
        List<Long> counts = new ArrayList<>();
        while (parser.nextToken() != Token.END_ARRAY) {
            // Whole numbers alone: a fraction is not rounded.
            long count = parser.longValue(false);
            if (count < 0) {
                throw refused(field, "[counts] must be 0 or more, but one is " + count);
            }
            counts.add(count);
        }
        return counts;
    }

    private static IllegalArgumentException refused(String field, String why) {
        return new IllegalArgumentException("field [" + field + "] of type [histogram]: " + why);
    }

    /** Reads what {@link #encode} wrote, pair by pair. One object serves all documents of a segment. */
    static final class Reader extends HistogramValue {
        private final ByteArrayStreamInput in = new ByteArrayStreamInput();
        private long count;
        private double value;

        Reader on(BytesRef bytes) {
            in.reset(bytes.bytes, bytes.offset, bytes.length);
            return this;
        }

        @Override
        public boolean next() throws IOException {
            if (in.available() == 0) {
                return false;
            }
            count = in.readVLong();
            value = in.readDouble();
            return true;
        }

        @Override
        public double value() {
            return value;
        }

        @Override
        public long count() {
            return count;
        }
    }
}
