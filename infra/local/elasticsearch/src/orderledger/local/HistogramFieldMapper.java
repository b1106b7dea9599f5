package orderledger.local;

import java.io.IOException;
import java.util.Map;

import org.apache.lucene.document.BinaryDocValuesField;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.DocValues;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.SortField;
import org.elasticsearch.common.util.BigArrays;
import org.elasticsearch.index.fielddata.FieldDataContext;
import org.elasticsearch.index.fielddata.HistogramValue;
import org.elasticsearch.index.fielddata.HistogramValues;
import org.elasticsearch.index.fielddata.IndexFieldData;
import org.elasticsearch.index.fielddata.IndexHistogramFieldData;
import org.elasticsearch.index.fielddata.LeafHistogramFieldData;
import org.elasticsearch.index.fielddata.SortedBinaryDocValues;
import org.elasticsearch.index.mapper.DocumentParserContext;
import org.elasticsearch.index.mapper.FieldMapper;
import org.elasticsearch.index.mapper.MappedFieldType;
import org.elasticsearch.index.mapper.Mapper;
import org.elasticsearch.index.mapper.MapperBuilderContext;
import org.elasticsearch.index.mapper.SourceValueFetcher;
import org.elasticsearch.index.mapper.ValueFetcher;
import org.elasticsearch.index.query.SearchExecutionContext;
import org.elasticsearch.script.field.DocValuesScriptFieldFactory;
import org.elasticsearch.search.DocValueFormat;
import org.elasticsearch.search.MultiValueMode;
import org.elasticsearch.search.sort.BucketedSort;
import org.elasticsearch.search.sort.SortOrder;
import org.elasticsearch.xcontent.XContentParser.Token;

/**
 * The field type {@code histogram}, as documented: aggregated, never searched, one of it a document. The parameters
 * {@code ignore_malformed} and {@code coerce} of the distribution's are not there: what is malformed is refused.
 */
final class HistogramFieldMapper extends FieldMapper {
    static final String TYPE = "histogram";
    static final Mapper.TypeParser PARSER = new TypeParser((name, context) -> new Builder(name));

    private HistogramFieldMapper(String name, MappedFieldType type, BuilderParams params) {
        super(name, type, params);
    }

    @Override
    protected String contentType() {
        return TYPE;
    }

    @Override
    public FieldMapper.Builder getMergeBuilder() {
        return new Builder(leafName()).init(this);
    }

    @Override
    protected boolean supportsParsingObject() {
        return true;
    }

    @Override
    protected void parseCreateField(DocumentParserContext context) throws IOException {
        if (context.parser().currentToken() == Token.VALUE_NULL) {
            return;
        }
        if (context.doc().getByKey(fullPath()) != null) {
            throw new IllegalArgumentException("field [" + fullPath() + "] of type [histogram] takes one value a document");
        }
        var field = new BinaryDocValuesField(fullPath(), Histogram.encode(fullPath(), context.parser()));
        context.doc().addWithKey(fullPath(), field);
    }

    private static final class Builder extends FieldMapper.Builder {
        private final Parameter<Map<String, String>> meta = Parameter.metaParam();

        Builder(String name) {
            super(name);
        }

        @Override
        protected Parameter<?>[] getParameters() {
            return new Parameter<?>[] { meta };
        }

        @Override
        public HistogramFieldMapper build(MapperBuilderContext context) {
            var type = new HistogramFieldType(context.buildFullName(leafName()), meta.getValue());
            return new HistogramFieldMapper(leafName(), type, builderParams(this, context));
        }
    }

    private static final class HistogramFieldType extends MappedFieldType {
        HistogramFieldType(String name, Map<String, String> meta) {
            super(name, false, false, true, meta);
        }

        @Override
        public String typeName() {
            return TYPE;
        }

        @Override
        public ValueFetcher valueFetcher(SearchExecutionContext context, String format) {
            return SourceValueFetcher.identity(name(), context, format);
        }

        @Override
        public Query termQuery(Object value, SearchExecutionContext context) {
            throw new IllegalArgumentException("field [" + name() + "] of type [histogram] can't be searched, only aggregated");
        }

        @Override
        public IndexFieldData.Builder fielddataBuilder(FieldDataContext context) {
            return (cache, breaker) -> new FieldData(name());
        }
    }

    /** Where aggregations find the histograms of a field. */
    private static final class FieldData extends IndexHistogramFieldData {
        FieldData(String field) {
            super(field, HistogramValuesSource.TYPE);
        }

        @Override
        public LeafHistogramFieldData load(LeafReaderContext segment) {
            return new Leaf(segment, fieldName);
        }

        @Override
        public LeafHistogramFieldData loadDirect(LeafReaderContext segment) {
            return load(segment);
        }

        @Override
        public SortField sortField(Object missing, MultiValueMode mode, XFieldComparatorSource.Nested nested, boolean reverse) {
            throw unsupported("sort");
        }

        @Override
        public BucketedSort newBucketedSort(
            BigArrays bigArrays,
            Object missing,
            MultiValueMode mode,
            XFieldComparatorSource.Nested nested,
            SortOrder order,
            DocValueFormat format,
            int size,
            BucketedSort.ExtraData extra
        ) {
            throw unsupported("sort");
        }
    }

    private record Leaf(LeafReaderContext segment, String field) implements LeafHistogramFieldData {
        @Override
        public HistogramValues getHistogramValues() throws IOException {
            BinaryDocValues kept = DocValues.getBinary(segment.reader(), field);
            var reader = new Histogram.Reader();
            return new HistogramValues() {
                @Override
                public boolean advanceExact(int document) throws IOException {
                    return kept.advanceExact(document);
                }

                @Override
                public HistogramValue histogram() throws IOException {
                    return reader.on(kept.binaryValue());
                }
            };
        }

        @Override
        public DocValuesScriptFieldFactory getScriptFieldFactory(String name) {
            throw unsupported("read in scripts");
        }

        @Override
        public SortedBinaryDocValues getBytesValues() {
            throw unsupported("read as bytes");
        }

        @Override
        public long ramBytesUsed() {
            return 0;
        }
    }

    private static UnsupportedOperationException unsupported(String what) {
        return new UnsupportedOperationException("fields of type [histogram] can't be used to " + what);
    }
}
