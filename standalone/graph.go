package standalone

import (
	"context"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/resource"
)

// node is an object in the graph.
type node struct {
	feed            *resource.Feed
	key             string
	namespace, name string
	uid             types.UID
	owners          []link
	protected       bool // has the finalizer that is taken away here once nothing uses it
	deleting        bool
	foreground      bool // deleting, and waiting for its dependents to be deleted
	orphaning       bool // deleting, and waiting for its dependents to be let go
}

// link is a reference to an owner. blocks holds up the owner's deletion in the foreground.
type link struct {
	uid    types.UID
	blocks bool
}

// graph is who owns whom, by uid. It holds every object of every stored resource but events, which come and go by the thousand and own
// nothing; an object that cannot be decoded is not in it.
type graph struct {
	fresh func(context.Context) error
	feeds []*resource.Feed

	mu         sync.Mutex // guards what follows, and the polling of the feeds
	byKey      map[string]*node
	byUID      map[types.UID]*node
	dependents map[types.UID]map[*node]struct{}
	// changed is called with mu held after a node was put (old may be nil) or removed (now is nil).
	changed func(old, now *node)
}

// newGraph makes a graph of what is there now. changed hears of all that changes afterwards.
func newGraph(feeds []*resource.Feed, fresh func(context.Context) error, changed func(old, now *node)) (*graph, error) {
	g := &graph{
		fresh: fresh, feeds: feeds,
		byKey: map[string]*node{}, byUID: map[types.UID]*node{}, dependents: map[types.UID]map[*node]struct{}{},
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range feeds {
		if _, err := g.drainLocked(f); err != nil {
			return nil, err
		}
	}
	g.changed = changed
	return g, nil
}

// follow applies the changes of a feed as they come, until ctx ends or the place in the history is lost (reason Expired).
func (g *graph) follow(ctx context.Context, f *resource.Feed) error {
	for {
		g.mu.Lock()
		wait, err := g.drainLocked(f)
		g.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sync brings the graph to a state not older than the call: whoever is not in it then, does not exist or cannot be decoded.
func (g *graph) sync(ctx context.Context) error {
	if err := g.fresh(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.feeds {
		if _, err := g.drainLocked(f); err != nil {
			return err
		}
	}
	return nil
}

// drainLocked applies all changes that are there and returns a channel that is closed when there are more.
func (g *graph) drainLocked(f *resource.Feed) (<-chan struct{}, error) {
	return f.Poll(func(m *resource.Metadata, removed bool) {
		if removed || m.Err != nil {
			g.removeLocked(m.Key)
		} else {
			g.putLocked(f, m)
		}
	})
}

func (g *graph) putLocked(f *resource.Feed, m *resource.Metadata) {
	now := &node{
		feed: f, key: m.Key, namespace: m.Namespace, name: m.Name, uid: m.UID, deleting: m.DeletionTimestamp != nil,
		protected: has(m, protectionOf(f.Type)),
	}
	now.foreground = now.deleting && has(m, metav1.FinalizerDeleteDependents)
	now.orphaning = now.deleting && has(m, metav1.FinalizerOrphanDependents)
	for _, o := range m.OwnerReferences {
		now.owners = append(now.owners, link{o.UID, o.BlockOwnerDeletion != nil && *o.BlockOwnerDeletion})
	}
	old := g.byKey[m.Key]
	if old != nil && old.uid != now.uid {
		g.removeLocked(m.Key)
		old = nil
	}
	if old != nil {
		g.unlinkLocked(old)
	}
	g.byKey[now.key], g.byUID[now.uid] = now, now
	for _, o := range now.owners {
		if g.dependents[o.uid] == nil {
			g.dependents[o.uid] = map[*node]struct{}{}
		}
		g.dependents[o.uid][now] = struct{}{}
	}
	if g.changed != nil {
		g.changed(old, now)
	}
}

func (g *graph) removeLocked(key string) {
	old := g.byKey[key]
	if old == nil {
		return
	}
	g.unlinkLocked(old)
	delete(g.byKey, key)
	if g.byUID[old.uid] == old {
		delete(g.byUID, old.uid)
	}
	if g.changed != nil {
		g.changed(old, nil)
	}
}

func (g *graph) unlinkLocked(n *node) {
	for _, o := range n.owners {
		delete(g.dependents[o.uid], n)
		if len(g.dependents[o.uid]) == 0 {
			delete(g.dependents, o.uid)
		}
	}
}

func has(m *resource.Metadata, finalizer string) bool {
	return slices.Contains(m.Finalizers, finalizer)
}

// get returns the object with the uid, or nil. Nodes do not change; a changed object has another one.
func (g *graph) get(uid types.UID) *node {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.byUID[uid]
}

// owned returns the objects that name the uid as an owner.
func (g *graph) owned(uid types.UID) []*node {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*node, 0, len(g.dependents[uid]))
	for n := range g.dependents[uid] {
		list = append(list, n)
	}
	return list
}

// blocks reports whether the object holds up the deletion of the owner in the foreground.
func (n *node) blocks(owner types.UID) bool {
	return slices.Contains(n.owners, link{owner, true})
}
