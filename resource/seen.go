package resource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/store"
)

// Admission decides by what is in the caches, which is late by the time that a change takes from etcd to here. What is promised in spite of
// that:
//
//   - What this server has answered a write with, the next request's admission sees ([Service.Settled]). A client that makes a LimitRange and
//     then a pod gets what it expects.
//   - An object is created in the namespace as admission has seen it, or not at all: the transaction depends on the namespace. So nothing
//     is created in a namespace that is gone or terminating, and the labels that decided are those at the moment of the write.
//   - Of other servers' writes, admission knows a moment later, as kube-apiserver's does; after [maxLag] at the latest, or the write waits.
//
// The rejected alternative is a question to etcd before each create. It promised the caches of the moment at which the request came, and nothing
// for the moment of the write, for a tenth of what a create costs.

// staleTries is how often a create is tried on a namespace that changes meanwhile. Each try is on a state that is newer than the one before.
const staleTries = 5

// onFreshCaches repeats what has failed because the caches were behind, once they are not.
func (s *Service) onFreshCaches(ctx context.Context, create func() (Result, error)) (Result, error) {
	for try := 1; ; try++ {
		r, err := create()
		if !errors.Is(err, store.ErrStale) || try == staleTries {
			return r, err
		}
		if err := s.reach(ctx, ""); err != nil {
			return Result{}, err
		}
	}
}

// seen is what a create that was admitted depends on.
func (s *Service) seen(a *admission.Attributes) ([]store.Seen, error) {
	ns := a.SeenNamespace()
	if ns == nil {
		return nil, nil
	}
	t, ok := s.Table.Lookup("", "v1", "namespaces")
	revision, err := strconv.ParseInt(ns.ResourceVersion, 10, 64)
	if !ok || err != nil {
		return nil, api.Internal(fmt.Errorf("namespace %s was seen at revision %q, which is none", ns.Name, ns.ResourceVersion))
	}
	return []store.Seen{{Key: s.key(t, "", ns.Name), Revision: revision}}, nil
}

// note remembers a write that admission may decide by.
func (s *Service) note(t *Type, revision int64) {
	if t.decidesNothing() {
		return
	}
	for {
		last := s.wrote.Load()
		if last >= revision || s.wrote.CompareAndSwap(last, revision) {
			return
		}
	}
}

// maxLag is how late caches may be in what they know of other servers' writes when admission decides by them.
const maxLag = time.Second

// Settled returns when the caches have what this server has written, of all kinds that admission decides by, and what anybody had written
// [maxLag] ago. It fails as [store.Mirror.Fresh] does.
func (s *Service) Settled(ctx context.Context) error {
	if err := s.Mirror.WaitFor(ctx, s.wrote.Load()); err != nil {
		return err
	}
	return s.Mirror.Within(ctx, maxLag)
}

// decidesNothing tells the kinds that are written all the time and that no decision about another object is taken by.
func (t *Type) decidesNothing() bool {
	return slices.Contains([]string{"pods", "events", "leases", "endpointslices"}, t.Prefix)
}
