package node

// Kind is a kind of object that a [Graph] is fed with.
type Kind kind

// The kinds that a graph is fed with.
const (
	Pods        = Kind(pods)
	Volumes     = Kind(volumes)
	Attachments = Kind(attachments)
	Slices      = Kind(resourceSlices)
)

// Retain removes the objects of a kind for which keep is false. It is for a feeder that has read everything anew and has missed
// deletions; its cost grows with the whole graph.
func (g *Graph) Retain(k Kind, keep func(namespace, name string) bool) {
	g.mu.Lock()
	var gone []object
	for o := range g.from {
		if o.kind == kind(k) && !keep(o.namespace, o.name) {
			gone = append(gone, o)
		}
	}
	g.mu.Unlock()
	for _, o := range gone {
		g.set(o, origin{})
	}
}
