// Package eventrate is the admission plugin EventRateLimit: it bounds how many events are written, by the whole server, in a namespace, by a user, or by one
// source about one object. A flood of events fills etcd and crowds out what matters.
//
// The numbers of buckets are bounded. The arithmetic is golang.org/x/time/rate over a clock that is handed in.
package eventrate

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

const defaultCacheSize = 4096

// Plugin refuses events beyond its limits. It is safe for concurrent use. Make one with [New].
type Plugin struct {
	limits []*limit
	now    func() time.Time
}

// limit is the buckets of one type.
type limit struct {
	Limit

	mu      sync.Mutex // guards buckets
	buckets *lru.LRU[string, *rate.Limiter]
}

// New returns the plugin with the limits, which are those that ParseConfig accepts.
func New(limits []Limit, now func() time.Time) (*Plugin, error) {
	p := &Plugin{now: now}
	for i, l := range limits {
		if err := l.check(); err != nil {
			return nil, fmt.Errorf("limits[%d].%w", i, err)
		}
		size := defaultCacheSize
		if l.CacheSize > 0 {
			size = int(l.CacheSize)
		}
		buckets, err := lru.NewLRU[string, *rate.Limiter](size, nil)
		if err != nil {
			return nil, err
		}
		p.limits = append(p.limits, &limit{Limit: l, buckets: buckets})
	}
	return p, nil
}

// Validate refuses with 429 creates and updates of events that one of the limits has no room for. All of the limits are charged. A dry run is
// free: it writes nothing.
func (p *Plugin) Validate(_ context.Context, a *admission.Attributes) error {
	if a.DryRun || !a.Writes() || a.Resource.Resource != "events" || (a.Resource.Group != "" && a.Resource.Group != eventsv1.GroupName) {
		return nil
	}
	var full []string
	for _, l := range p.limits {
		if key := l.key(a); !l.take(key, p.now()) {
			full = append(full, fmt.Sprintf("limit reached on type %s for key %s", l.Type, key))
		}
	}
	switch len(full) {
	case 0:
		return nil
	case 1:
		return tooMany(full[0])
	}
	return tooMany("[" + strings.Join(full, ", ") + "]")
}

// tooMany has no time after which to try again: clients that retry an event make the flood worse.
func tooMany(why string) error {
	return api.ToError(apierrors.NewTooManyRequestsError(why))
}

// take takes one event out of the bucket, and reports whether there was one.
func (l *limit) take(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.buckets.Get(key)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(l.QPS), int(l.Burst))
		l.buckets.Add(key, bucket)
	}
	return bucket.AllowN(now, 1)
}

// key tells the buckets of the limit apart, and is what the client is told.
func (l *limit) key(a *admission.Attributes) string {
	switch l.Type {
	case Namespace:
		return a.Namespace
	case User:
		return a.Permit.User().Name
	case SourceAndObject:
		source, object := about(a)
		return strings.Join([]string{source.Component, source.Host, object.Kind, object.Namespace, object.Name, string(object.UID), object.APIVersion}, "")
	}
	return ""
}

// about is who says an event of what.
func about(a *admission.Attributes) (source corev1.EventSource, object corev1.ObjectReference) {
	switch e := a.Object.(type) {
	case *corev1.Event:
		return e.Source, e.InvolvedObject
	case *eventsv1.Event:
		if e.DeprecatedSource == (corev1.EventSource{}) {
			return corev1.EventSource{Component: e.ReportingController, Host: e.ReportingInstance}, e.Regarding
		}
		return e.DeprecatedSource, e.Regarding
	}
	return source, object
}
