package standalone

import (
	"k8s.io/apimachinery/pkg/types"
)

// Which job a change calls for. Each is called for by the state and not by the step to it, so that none is lost where a step was not seen.

// begin calls for all that the state at the beginning needs.
func (w *work) begin() {
	w.graph.mu.Lock()
	defer w.graph.mu.Unlock()
	for _, n := range w.graph.byKey {
		w.changedTo(n)
	}
}

// changed is told of every change, with the graph's mutex held.
func (w *work) changed(old, now *node) {
	if old != nil {
		w.unblocked(old, now)
	}
	if now == nil {
		w.gone(old)
		return
	}
	w.changedTo(now)
	w.usersChanged(now)
}

func (w *work) changedTo(n *node) {
	switch {
	case n.orphaning:
		w.queue.add(job{taskOrphan, string(n.uid)}, 0)
	case n.foreground:
		w.collectLater(n.uid)
		for dependent := range w.graph.dependents[n.uid] {
			w.collectLater(dependent.uid)
		}
	case !n.deleting && w.lost(n):
		w.collectLater(n.uid)
	}
	if n.deleting && n.protected {
		w.waiting[n.key] = n
		w.queue.add(job{taskRelease, n.key}, 0)
	} else {
		delete(w.waiting, n.key)
	}
	w.namespaceChanged(n)
}

func (w *work) collectLater(uid types.UID) { w.queue.add(job{taskCollect, string(uid)}, 0) }

// lost reports whether an owner of the object is not there, or waits for the object to be deleted.
func (w *work) lost(n *node) bool {
	for _, o := range n.owners {
		if owner := w.graph.byUID[o.uid]; owner == nil || owner.foreground {
			return true
		}
	}
	return false
}

// unblocked looks after the owners that the object no longer holds up.
func (w *work) unblocked(old, now *node) {
	for _, o := range old.owners {
		if owner := w.graph.byUID[o.uid]; owner != nil && owner.foreground && o.blocks && (now == nil || !now.blocks(o.uid)) {
			w.collectLater(o.uid)
		}
	}
}

// gone calls for what the end of an object makes possible.
func (w *work) gone(n *node) {
	for dependent := range w.graph.dependents[n.uid] {
		w.collectLater(dependent.uid)
	}
	delete(w.waiting, n.key)
	if n.isNamespace() {
		delete(w.terminating, n.name)
		return
	}
	if _, ok := w.terminating[n.namespace]; ok && n.namespace != "" {
		w.queue.add(job{taskEmpty, n.namespace}, firstPause)
	} else if n.isFurniture() {
		w.queue.add(job{taskFurnish, n.namespace}, 0)
	}
	w.usersChanged(n)
}

func (w *work) namespaceChanged(n *node) {
	switch {
	case n.isNamespace() && n.deleting:
		if _, known := w.terminating[n.name]; !known {
			w.terminating[n.name] = struct{}{}
			w.queue.add(job{taskEmpty, n.name}, w.Pace.Settle)
		}
	case n.isNamespace():
		w.queue.add(job{taskFurnish, n.name}, 0)
	case n.isFurniture():
		w.queue.add(job{taskFurnish, n.namespace}, 0)
	}
}

// usersChanged looks again at what waits for nothing to use it, after something has changed that can use it.
func (w *work) usersChanged(n *node) {
	if !n.uses() {
		return
	}
	for key, waits := range w.waiting {
		if waits.namespace == n.namespace || waits.namespace == "" {
			w.queue.add(job{taskRelease, key}, firstPause)
		}
	}
}

func (n *node) is(group, plural string) bool {
	return n.feed.Type.Group == group && n.feed.Type.Resource == plural
}

func (n *node) isNamespace() bool { return n.is("", "namespaces") }

// isFurniture tells what every namespace has.
func (n *node) isFurniture() bool {
	return (n.name == accountName && n.is("", "serviceaccounts")) || (n.name == rootCAName && n.is("", "configmaps"))
}
