package diff

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// noObject are kinds of which no object is really made, because other requests would notice.
func noObject() []string { return []string{"networking.k8s.io/ServiceCIDR"} }

// changes makes an object on both servers, compares dry runs of changes to it, and removes it.
func (b *batch) changes(ctx context.Context) []Result {
	if !slices.Contains(b.kind.Verbs, "update") || slices.Contains(noObject(), b.kind.Name()) {
		return nil
	}
	made := b.writing(http.MethodPost, b.kind.Collection("${ns}"), b.rich())
	made.Behaviour, made.Name = "create: for real", "the object that is changed"
	result := b.Pair.Ask(ctx, made, b.vars, b.vars)
	_, name := identity(result.Kube, b.vars)
	item := b.kind.Collection("${ns}") + "/" + name
	defer b.remove(context.WithoutCancel(ctx), item)
	if result.Kube.Status != http.StatusCreated || result.Ours.Status != http.StatusCreated {
		return []Result{result}
	}
	kube, ours := b.settled(ctx, b.Pair.Kube, item), b.settled(ctx, b.Pair.Ours, item)
	return append([]Result{result}, b.Pair.AskAll(ctx, b.updates(item), kube, ours)...)
}

// identity adds the resourceVersion of an answer to variables and returns the name in it.
func identity(a Answer, vars Vars) (Vars, string) {
	object, _ := a.Object.(map[string]any)
	meta, _ := object["metadata"].(map[string]any)
	version, _ := meta["resourceVersion"].(string)
	name, _ := meta["name"].(string)
	return vars.With("rv", version), name
}

// settled reads an object until it does not change any more: controllers inside of the servers write the status of some
// kinds.
func (b *batch) settled(ctx context.Context, t *Target, item string) Vars {
	const (
		reads = 15
		pause = 200 * time.Millisecond
	)
	get := Request{Method: http.MethodGet, Path: item}.Expand(b.vars)
	vars, _ := identity(t.Ask(ctx, get), b.vars)
	loops := []string{"apiextensions.k8s.io", "apiregistration.k8s.io", "flowcontrol.apiserver.k8s.io", "rbac.authorization.k8s.io"}
	if !slices.Contains(loops, b.kind.Group) {
		return vars
	}
	for range reads {
		select {
		case <-ctx.Done():
			return vars
		case <-time.After(pause):
		}
		again, _ := identity(t.Ask(ctx, get), b.vars)
		if again["rv"] == vars["rv"] {
			break
		}
		vars = again
	}
	return vars
}

func (b *batch) updates(item string) []Case {
	limit := b.PerKind / 2
	var cases []Case
	add := func(path, behaviour, name string, object map[string]any) {
		current, _ := deepCopy(object).(map[string]any)
		path2 := path + "?dryRun=All"
		_ = pathOfVersion.set(current, "${rv}")
		c := b.writing(http.MethodPut, path2, current)
		c.Behaviour, c.Name = behaviour, name
		cases = append(cases, c)
	}
	add(item, "update: unchanged", "unchanged", b.rich())
	for i, s := range b.seeds[:len(b.seeds)-1] {
		renamed, _ := deepCopy(s.Object).(map[string]any)
		old, _ := pathOfName.get(b.rich())
		_ = pathOfName.set(renamed, old)
		add(item, "update: to another seed", "seed "+strconv.Itoa(i), renamed)
	}
	if slices.Contains(b.kind.Subresources, "status") {
		add(item+"/status", "status: unchanged", "unchanged", b.rich())
		limit -= limit / 3
		for _, m := range b.choose(mutationsOf(b.statusPlaces()), b.PerKind/2-limit) {
			if object, ok := m.Apply(b.rich()); ok {
				add(item+"/status", "status: "+m.Behaviour, m.Name, object)
			}
		}
	}
	for _, m := range b.choose(mutationsOf(places(b.schema, b.rich(), nil)), limit) {
		if object, ok := m.Apply(b.rich()); ok {
			add(item, "update: "+m.Behaviour, m.Name, object)
		}
	}
	return cases
}

var (
	pathOfVersion = path{"metadata", "resourceVersion"}
	pathOfName    = path{"metadata", "name"}
)

// statusPlaces are the fields below status, which places leaves out.
func (b *batch) statusPlaces() []place {
	status := b.schema.Property("status")
	if status == nil {
		return nil
	}
	var all []place
	walk(status, b.rich()["status"], path{"status"}, 1, func(p place) { all = append(all, p) })
	return all
}

func (b *batch) remove(ctx context.Context, item string) { b.removeWith(ctx, item, b.vars) }

func (b *batch) removeWith(ctx context.Context, item string, vars Vars) {
	r := Request{Method: http.MethodDelete, Path: item + "?gracePeriodSeconds=0&propagationPolicy=Background"}.Expand(vars)
	b.Pair.Kube.Ask(ctx, r)
	b.Pair.Ours.Ask(ctx, r)
}
