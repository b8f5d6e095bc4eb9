package main

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/node"
	"github.com/gatehouse/gatehouse/resource"
)

// nodeGraph is what the authorizer Node decides by.
type nodeGraph struct {
	graph  *node.Graph
	wanted bool         // the authorizer is in use
	unread atomic.Int32 // resources that have not been read to their end yet
}

// want says, before anything is served, that somebody decides by the graph.
func (g *nodeGraph) want() {
	if !g.wanted {
		g.wanted = true
		g.unread.Store(fedResources)
	}
}

// check fails until everything has been read once. Decisions do not wait for it: until then nodes may less.
func (g *nodeGraph) check() error {
	if g.unread.Load() > 0 {
		return errNodesNotRead
	}
	return nil
}

// followNodes feeds the graph of nodes from the caches, if anybody decides by it.
func (p *parts) followNodes(ctx context.Context) error {
	if !p.nodes.wanted {
		return nil
	}
	select {
	case <-p.mirror.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	g := p.nodes.graph
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		// Pods without a node say nothing about nodes, and are not decoded for it.
		return feed(ctx, p, "", "pods", fields.OneTermNotEqualSelector("spec.nodeName", ""), node.Pods, g.ApplyPod, g.DeletePod)
	})
	group.Go(func() error {
		return feed(ctx, p, "", "persistentvolumes", nil, node.Volumes, g.ApplyVolume,
			func(_, name string) { g.DeleteVolume(name) })
	})
	group.Go(func() error {
		return feed(ctx, p, storagev1.GroupName, "volumeattachments", nil, node.Attachments, g.ApplyAttachment,
			func(_, name string) { g.DeleteAttachment(name) })
	})
	group.Go(func() error {
		return feed(ctx, p, resourcev1.GroupName, "resourceslices", nil, node.Slices, g.ApplySlice,
			func(_, name string) { g.DeleteSlice(name) })
	})
	return group.Wait()
}

// fedResources is how many resources the graph is fed from.
const fedResources = 4

// feed tells the graph of every object of a resource that matches the selector (nil for all), and of its changes. Unlike follow it keeps none of them.
func feed[T resource.Object](
	ctx context.Context, p *parts, group, plural string, which fields.Selector, kind node.Kind, apply func(T), remove func(namespace, name string),
) error {
	info := api.RequestInfo{IsResource: true, Group: group, Version: "v1", Resource: plural, Verb: "watch"}
	permit := authz.System("what nodes may do with "+plural, info)
	first := true
	for {
		w, err := p.resources.Watch(ctx, permit, resource.ListOptions{Fields: which, ResourceVersion: "0", Bookmarks: true, SkipBroken: true})
		if err != nil {
			return err
		}
		f := feeder[T]{apply: apply, remove: remove, seen: map[name]bool{}}
		f.complete = func() {
			p.nodes.graph.Retain(kind, func(namespace, n string) bool { return f.seen[name{namespace, n}] })
			if f.seen = nil; first {
				p.nodes.unread.Add(-1)
				first = false
			}
		}
		if err := f.follow(ctx, w); !api.IsReason(err, metav1.StatusReasonExpired) {
			return err
		}
	}
}

// name is that of an object in a namespace.
type name struct{ namespace, name string }

// feeder is one reading of a resource, from all objects on.
type feeder[T resource.Object] struct {
	apply    func(T)
	remove   func(namespace, name string)
	complete func()        // called after the first objects
	seen     map[name]bool // the first objects, until they are complete
}

func (f *feeder[T]) follow(ctx context.Context, w *resource.Watch) error {
	var changes []resource.Change
	for {
		var err error
		if changes, err = w.Next(ctx, changes); err != nil {
			return err
		}
		for _, c := range changes {
			if c.InitialEnd {
				f.complete()
			}
			if c.Item != nil {
				f.change(w.Type, c)
			}
		}
	}
}

// change tells of one object. What cannot be decoded counts as absent: it must not end the server, and nobody may do anything because
// of it.
func (f *feeder[T]) change(t *resource.Type, c resource.Change) {
	self := name{c.Item.Namespace, c.Item.Name}
	if c.Type != "DELETED" {
		if decoded, err := t.Decode(c.Item); err == nil {
			if f.apply(decoded.(T)); f.seen != nil {
				f.seen[self] = true
			}
			return
		}
	}
	if f.remove(self.namespace, self.name); f.seen != nil {
		delete(f.seen, self)
	}
}
