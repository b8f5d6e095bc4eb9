package diff

import (
	"context"
	"encoding/json"
	"net/http"
)

// applies makes an object by server-side apply, and compares dry runs of further applies by its manager and by others.
func (b *batch) applies(ctx context.Context) []Result {
	vars := b.vars.With("name", b.vars["name"]+"s")
	name, _ := pathOfName.get(b.lasting())
	text, _ := name.(string)
	item := b.kind.Collection("${ns}") + "/" + text
	made := b.apply(item+"?fieldManager=one", "apply: for real", "the rich object", b.lasting())
	result := b.Pair.Ask(ctx, made, vars, vars)
	results := []Result{result}
	if result.Kube.Status >= http.StatusBadRequest || result.Ours.Status >= http.StatusBadRequest {
		return results
	}
	defer b.removeWith(context.WithoutCancel(ctx), item, vars)
	kube, _ := identity(result.Kube, vars)
	ours, _ := identity(result.Ours, vars)
	item += "?dryRun=All&fieldManager="
	cases := b.appliesOfAll(item)
	for _, p := range places(b.schema, b.lasting(), nil) {
		cases = append(cases, b.appliesOf(item, p)...)
	}
	always := len(b.appliesOfAll(item))
	cases = append(cases[:always:always], spread(b.random, cases[always:], func(c Case) string { return c.Behaviour }, b.PerKind/6)...)
	return append(results, b.Pair.AskAll(ctx, cases, kube, ours)...)
}

func (b *batch) apply(path, behaviour, name string, object map[string]any) Case {
	data, err := json.Marshal(object)
	if err != nil {
		data = []byte(err.Error())
	}
	c := b.asking(http.MethodPatch, path, behaviour, name, string(data))
	c.Request.Header.Set("Content-Type", applyPatch)
	return c
}

// appliesOfAll are those about the whole object.
func (b *batch) appliesOfAll(item string) []Case {
	rich := b.lasting()
	bare := map[string]any{"apiVersion": rich["apiVersion"], "kind": rich["kind"]}
	name, _ := pathOfName.get(rich)
	named := map[string]any{"apiVersion": rich["apiVersion"], "kind": rich["kind"], "metadata": map[string]any{"name": name}}
	versioned, _ := deepCopy(rich).(map[string]any)
	_ = pathOfVersion.set(versioned, "1")
	managed, _ := deepCopy(rich).(map[string]any)
	_ = path{"metadata", "managedFields"}.set(managed, []any{map[string]any{"manager": "x"}})
	return []Case{
		b.apply(item+"one", "apply: whole", "the same again", rich),
		b.apply(item+"two", "apply: whole", "the same by another manager", rich),
		b.apply(item+"two", "apply: whole", "nothing by another manager", bare),
		b.apply(item+"one", "apply: whole", "nothing", bare),
		b.apply(item+"one", "apply: whole", "the name alone", named),
		b.apply(item+"one", "apply: whole", "an old version", versioned),
		b.apply(item+"one", "apply: whole", "managedFields", managed),
		b.apply(item+"one", "apply: whole", "no kind", map[string]any{"metadata": map[string]any{"name": name}}),
		b.apply(item, "apply: whole", "no manager", rich),
		b.apply(item+"one&force=x", "apply: whole", "force=x", rich),
		b.patch(item+"one&force=true", mergePatch, "apply: whole", "force of a merge patch", map[string]any{}),
	}
}

// appliesOf remove one field, and change it as another manager.
func (b *batch) appliesOf(item string, p place) []Case {
	var cases []Case
	for _, m := range mutations(p) {
		object, ok := m.Apply(b.lasting())
		switch {
		case !ok:
		case m.remove:
			cases = append(cases, b.apply(item+"one", "apply: field removed", m.Name, object))
		case m.Behaviour == "changed":
			cases = append(cases, b.apply(item+"two", "apply: conflict", m.Name, object),
				b.apply(item+"two&force=true", "apply: forced", m.Name, object), b.apply(item+"one", "apply: field changed", m.Name, object))
		case m.Behaviour == "null", m.Behaviour == "duplicate", m.Behaviour == "unknown field", m.Behaviour == "set":
			cases = append(cases, b.apply(item+"one", "apply: "+m.Behaviour, m.Name, object))
		}
	}
	return cases
}
