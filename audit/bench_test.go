package audit_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/gatehouse/gatehouse/audit"
)

// BenchmarkEvent is the CPU cost of one event without I/O: encode, hash, splice.
func BenchmarkEvent(b *testing.B) {
	e := fullEvent()
	e.Level, e.RequestObject, e.ResponseObject, e.ResponseStatus.Message = audit.LevelMetadata, nil, nil, ""
	e.ResponseStatus.Status, e.ResponseStatus.Reason, e.ResponseStatus.Details = "", "", nil
	h, buf := audit.NewHasher(), []byte(nil)
	var prev audit.Digest
	b.ReportAllocs()
	for b.Loop() {
		buf = e.AppendJSON(buf[:0])
		prev = h.Sum(prev, 1, buf[:len(buf)-1])
	}
	b.SetBytes(int64(len(buf)))
}

// BenchmarkAppend is a write as the server does it, RequestReceived durable and ResponseComplete queued, by one client and by 64 at once.
func BenchmarkAppend(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			l := open(b, audit.Options{Path: logPath(b)})
			r := request(b, "DELETE", "/api/v1/namespaces/a/pods/b")
			b.SetParallelism(clients)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					rec, err := receive(context.Background(), l, r)
					if err != nil {
						b.Error(err)
						return
					}
					rec.Finish(200, nil)
				}
			})
			b.StopTimer()
			s := l.Stats()
			b.ReportMetric(float64(s.Records)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(s.Records)/float64(max(s.Syncs, 1)), "records/sync")
			closeLog(b, l)
		})
	}
}

// BenchmarkRead is a read as the server does it, without the disk.
func BenchmarkRead(b *testing.B) {
	l, err := audit.OpenStream(audit.Options{}, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	r := request(b, "GET", "/api/v1/namespaces/a/pods/b")
	b.ReportAllocs()
	for b.Loop() {
		rec, err := receive(context.Background(), l, r)
		if err != nil {
			b.Fatal(err)
		}
		rec.Annotate(audit.AnnotationDecision, "allow")
		rec.Annotate(audit.AnnotationReason, "RBAC: allowed by ClusterRoleBinding \"view\"")
		rec.Finish(200, nil)
	}
	closeLog(b, l)
}
