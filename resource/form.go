package resource

// MetaVersion is the version of the API group meta.k8s.io in which a Table, or the metadata of objects alone, is written. In JSON the
// versions differ in name only; in protobuf there is [MetaV1] alone.
type MetaVersion string

// The versions of meta.k8s.io.
const (
	MetaV1      MetaVersion = "v1"
	MetaV1beta1 MetaVersion = "v1beta1"
)

// protobufMetaVersion is the apiVersion of metadata in protobuf.
const protobufMetaVersion = "meta.k8s.io/v1"

// appendHead appends {"kind":K,"apiVersion":V, with the comma.
func (v MetaVersion) appendHead(b []byte, kind string) []byte {
	b = append(append(b, `{"kind":"`...), kind...)
	b = append(append(b, `","apiVersion":"meta.k8s.io/`...), v...)
	return append(b, `",`...)
}

// TableForm says how a table is written.
type TableForm struct {
	Version MetaVersion
	Include IncludeObject
}

// IncludeObject says how much of the object stands in a table row.
type IncludeObject string

// The values of the includeObject parameter. The default is Metadata.
const (
	IncludeNone     IncludeObject = "None"
	IncludeMetadata IncludeObject = "Metadata"
	IncludeWhole    IncludeObject = "Object"
)
