package server

// What the fuzz targets and tests need to see.
var (
	Choose              = choose
	AggregatedOrPlain   = aggregatedOrPlain
	AcceptSpec          = acceptSpec
	SourceIPs           = sourceIPs
	WatchTime           = watchTime
	BearerFromProtocols = bearerFromProtocols
)

// The media types that Choose and AcceptSpec may choose.
const (
	TypeJSON       = typeJSON
	TypeAggregated = typeAggregated
	TypeSpec3      = typeSpec3
)

// NewWorkers returns the run of new workers.
func NewWorkers() func(func()) { return workers{make(chan func())}.run }
