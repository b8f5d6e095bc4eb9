package server

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/api"
)

// What the fuzz targets and tests need to see.
var (
	Choose              = choose
	AggregatedOrPlain   = aggregatedOrPlain
	AcceptSpec          = acceptSpec
	SourceIPs           = sourceIPs
	WarningsOf          = warningsOf
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
func NewWorkers() func(func()) {
	w := workers{make(chan *task)}
	return func(f func()) { w.run(&task{f: f}) }
}

// NewLifetime returns the context of a request of the client, and what ends it. WarningsOf finds the warnings in it.
func NewLifetime(client context.Context, deadline time.Time, w *api.Warnings) (context.Context, context.CancelCauseFunc) {
	l := &lifetime{}
	l.begin(client, deadline, w)
	return l, l.end
}

// WriteBound bounds the writes of a watch.
type WriteBound struct{ b *writeBound }

// BoundWrites returns a bound of the writes to a stream that cut ends.
func BoundWrites(limit time.Duration, cut func()) WriteBound {
	return WriteBound{boundWrites(limit, cut)}
}

// During runs a write.
func (b WriteBound) During(write func() error) error { return b.b.during(write) }

// Close ends the bound.
func (b WriteBound) Close() { b.b.close() }

// WatchWrite is how long a write of a watch may take.
const WatchWrite = watchWrite
