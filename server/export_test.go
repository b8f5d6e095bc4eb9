package server

// What the fuzz targets and tests need to see.
var (
	AcceptDocument = acceptDocument
	AcceptSpec     = acceptSpec
	SourceIPs      = sourceIPs
	WatchTime      = watchTime
)

// The media types that AcceptDocument and AcceptSpec may choose.
const (
	TypeJSON       = typeJSON
	TypeAggregated = typeAggregated
	TypeSpec3      = typeSpec3
)
