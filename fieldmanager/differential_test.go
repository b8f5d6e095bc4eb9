package fieldmanager_test

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/fieldmanager"
	"github.com/gatehouse/gatehouse/resource"
)

// The short way is a second statement of the library's rules, so both are asked about the same random histories of objects of every
// kind: a create and several edits by several managers through several subresources.
func TestShortWayIsTheLibrary(t *testing.T) {
	table, err := resource.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	schema := fieldmanager.NewSchema()
	for _, kind := range table.Types() {
		if !kind.Persisted() {
			continue
		}
		t.Run(kind.GroupVersion()+"."+kind.Kind, func(t *testing.T) {
			taken, all := 0, 0
			for seed := range uint64(25) {
				g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), odd: seed%4 == 0}
				a, b := history(t, schema, kind, g)
				taken, all = taken+a, all+b
			}
			t.Logf("the short way was taken %d times of %d", taken, all)
			if taken == 0 {
				t.Error("the short way was never taken")
			}
		})
	}
}

func history(t *testing.T, schema *fieldmanager.Schema, kind *resource.Type, g *generator) (taken, all int) {
	t.Helper()
	group := kind.GroupVersion()
	managers := []*fieldmanager.Manager{
		fieldmanager.New(fieldmanager.Config{
			Schema: schema, Kind: kind.GVK(), New: func() fieldmanager.Object { return kind.New() },
			Reset: map[string][]string{group: {"status"}},
		}),
		fieldmanager.New(fieldmanager.Config{
			Schema: schema, Kind: kind.GVK(), New: func() fieldmanager.Object { return kind.New() }, Subresource: "status",
			Reset: map[string][]string{group: {"spec", "metadata.labels"}},
		}),
	}
	live := fieldmanager.Object(kind.New())
	next := filled(g, kind.New())
	now := time.Unix(1_700_000_000, 0).UTC()
	for step := range 6 {
		now = now.Add(time.Second)
		m := managers[g.IntN(2)]
		if step == 0 {
			m = managers[0]
			live.SetUID("")
		}
		name := words[g.IntN(3)]
		short, long := next.DeepCopyObject().(fieldmanager.Object), next.DeepCopyObject().(fieldmanager.Object)
		// The library fails on objects that cannot exist, such as items without any key.
		failed := m.UpdateByLibrary(live.DeepCopyObject().(fieldmanager.Object), long, name, now) != nil
		all++
		if m.UpdateShort(live.DeepCopyObject().(fieldmanager.Object), short, name, now) {
			taken++
			if diff := cmp.Diff(recordOf(long), recordOf(short)); diff != "" || failed {
				t.Fatalf("step %d by %s (-library +short), library failed: %v\n%s", step, name, failed, diff)
			}
		}
		if failed {
			return taken, all
		}
		live = long
		live.SetUID(types.UID("u"))
		next = live.DeepCopyObject().(fieldmanager.Object)
		if g.IntN(5) > 0 {
			g.edit(reflect.ValueOf(next).Elem(), 0)
			next.SetUID("u")
		}
		if g.IntN(2) == 0 {
			next.SetManagedFields(nil)
		}
	}
	return taken, all
}

type entry struct {
	ID, Time, Fields string
}

// recordOf shows a record in a form that differs readably.
func recordOf(o fieldmanager.Object) (out []entry) {
	for _, e := range o.GetManagedFields() {
		x := entry{ID: e.Manager + " " + string(e.Operation) + " " + e.APIVersion + " " + e.Subresource}
		if e.Time != nil {
			x.Time = e.Time.UTC().Format(time.RFC3339)
		}
		if e.FieldsV1 != nil {
			x.Fields = e.FieldsV1.GetRawString()
		}
		out = append(out, x)
	}
	return out
}
