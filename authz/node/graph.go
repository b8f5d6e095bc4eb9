package node

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"sync"
	"unique"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/gatehouse/gatehouse/internal/podrefs"
)

// Graph knows which objects a node has to do with, by the objects that it was told of.
//
// The relation that kube-apiserver keeps as a graph (node <- pod <- claim <- volume <- secret) and searches at each decision is kept
// here as its result: a set of pairs of an object and a node. A decision is one lookup, however many pods share a secret. A change
// costs as many updates as the pod or volume names objects; a volume whose claim is used on several nodes costs that for each of
// them. Memory is one entry for each object that a node has to do with, and one for each reference of a pod that is bound to a node.
//
// It is safe for concurrent use. Writers wait for one another; a reader waits for a writer only while it updates one map entry. What
// was true before a change and is true after it is true for readers meanwhile.
type Graph struct {
	edges *edges

	mu   sync.Mutex // serialises writers and guards the fields below
	from map[object]origin
	// users are the nodes that have to do with a claim.
	users map[object]map[string]struct{}
	// bound are the objects that come with the volumes that say they are bound to a claim, by the volume. It is one, unless volumes
	// are wrong.
	bound map[object]map[object][]object
}

// An origin is what one object leads to.
type origin struct {
	// node is the one that the object is bound to. It may be empty.
	node string
	// claim is what a volume is bound to: the nodes are those that use the claim.
	claim object
	// objects are what these nodes have to do with, the object itself included. They are sorted, and each is there once.
	objects []object
}

// NewGraph returns a graph without objects, in which no node has to do with anything.
func NewGraph() *Graph {
	return &Graph{
		edges: newEdges(), from: map[object]origin{},
		users: map[object]map[string]struct{}{}, bound: map[object]map[object][]object{},
	}
}

// ApplyPod adds a pod or replaces what was known of it. A pod without a node leads to nothing, and a mirror pod only to itself: its
// node has made it, and could have named anything in it.
func (g *Graph) ApplyPod(p *corev1.Pod) {
	self := named(pods, p.Namespace, p.Name)
	if p.Spec.NodeName == "" {
		g.set(self, origin{})
		return
	}
	o := origin{node: same(p.Spec.NodeName), objects: []object{self}}
	if _, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		if p.Spec.ServiceAccountName != "" {
			o.objects = append(o.objects, named(serviceAccounts, p.Namespace, p.Spec.ServiceAccountName))
		}
		for kind, names := range map[kind]iter.Seq[string]{
			secrets: podrefs.Secrets(p), configMaps: podrefs.ConfigMaps(p),
			claims: podrefs.Claims(p), resourceClaims: podrefs.ResourceClaims(p),
		} {
			for name := range names {
				o.objects = append(o.objects, named(kind, p.Namespace, name))
			}
		}
	}
	g.set(self, o)
}

// ApplyVolume adds a persistent volume or replaces what was known of it. Nodes that use its claim have to do with it and with the
// secrets that mounting it needs.
func (g *Graph) ApplyVolume(v *corev1.PersistentVolume) {
	self := named(volumes, "", v.Name)
	if v.Spec.ClaimRef == nil {
		g.set(self, origin{})
		return
	}
	o := origin{claim: named(claims, v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name), objects: []object{self}}
	for s := range podrefs.VolumeSecrets(v) {
		o.objects = append(o.objects, named(secrets, s.Namespace, s.Name))
	}
	g.set(self, o)
}

// ApplyAttachment adds a volume attachment or replaces what was known of it.
func (g *Graph) ApplyAttachment(a *storagev1.VolumeAttachment) {
	g.direct(named(attachments, "", a.Name), a.Spec.NodeName)
}

// ApplySlice adds a resource slice or replaces what was known of it. One that is not for a single node leads to nothing.
func (g *Graph) ApplySlice(s *resourcev1.ResourceSlice) {
	name := ""
	if s.Spec.NodeName != nil {
		name = *s.Spec.NodeName
	}
	g.direct(named(resourceSlices, "", s.Name), name)
}

// DeletePod removes a pod.
func (g *Graph) DeletePod(namespace, name string) { g.set(object{pods, namespace, name}, origin{}) }

// DeleteVolume removes a persistent volume.
func (g *Graph) DeleteVolume(name string) { g.set(object{volumes, "", name}, origin{}) }

// DeleteAttachment removes a volume attachment.
func (g *Graph) DeleteAttachment(name string) { g.set(object{attachments, "", name}, origin{}) }

// DeleteSlice removes a resource slice.
func (g *Graph) DeleteSlice(name string) { g.set(object{resourceSlices, "", name}, origin{}) }

// Len is how many pairs of an object and a node there are.
func (g *Graph) Len() int { return g.edges.len() }

// direct sets an object that only its own node has to do with.
func (g *Graph) direct(self object, node string) {
	if node == "" {
		g.set(self, origin{})
		return
	}
	g.set(self, origin{node: same(node), objects: []object{self}})
}

// set replaces what self leads to. What is new is added before what is old is removed, so that no reader misses what stays.
func (g *Graph) set(self object, next origin) {
	slices.SortFunc(next.objects, compare)
	next.objects = slices.Compact(next.objects)
	g.mu.Lock()
	defer g.mu.Unlock()
	last := g.from[self]
	if last.node == next.node && last.claim == next.claim && slices.Equal(last.objects, next.objects) {
		return
	}
	g.count(next, +1)
	g.count(last, -1)
	g.bind(self, last.claim, nil)
	g.bind(self, next.claim, next.objects)
	if next.objects == nil {
		delete(g.from, self)
	} else {
		g.from[self] = next
	}
}

// count adds or removes what an origin leads to.
func (g *Graph) count(o origin, n int32) {
	if o.node != "" {
		for _, object := range o.objects {
			left := g.edges.add(edge{object, o.node}, n)
			if object.kind == claims && (left == 0 || left == 1 && n > 0) {
				g.use(object, o.node, n)
			}
		}
	}
	for node := range g.users[o.claim] {
		for _, object := range o.objects {
			g.edges.add(edge{object, node}, n)
		}
	}
}

// use lets a node have to do with what comes with a claim, from its first pod that uses it until after its last one.
func (g *Graph) use(claim object, node string, n int32) {
	if n > 0 {
		put(g.users, claim, node, struct{}{})
	} else {
		drop(g.users, claim, node)
	}
	for _, objects := range g.bound[claim] {
		for _, object := range objects {
			g.edges.add(edge{object, node}, n)
		}
	}
}

// bind notes what comes with a claim through one volume; nil is nothing.
func (g *Graph) bind(volume, claim object, objects []object) {
	switch {
	case claim == object{}:
	case objects == nil:
		drop(g.bound, claim, volume)
	default:
		put(g.bound, claim, volume, objects)
	}
}

func put[K, L comparable, V any](m map[K]map[L]V, outer K, inner L, value V) {
	if m[outer] == nil {
		m[outer] = map[L]V{}
	}
	m[outer][inner] = value
}

func drop[K, L comparable, V any](m map[K]map[L]V, outer K, inner L) {
	if delete(m[outer], inner); len(m[outer]) == 0 {
		delete(m, outer)
	}
}

// named makes an object whose texts are in memory once, however many pods they came with.
func named(k kind, namespace, name string) object { return object{k, same(namespace), same(name)} }

func same(text string) string { return unique.Make(text).Value() }

func compare(a, b object) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
}
