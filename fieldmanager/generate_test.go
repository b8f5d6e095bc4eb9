package fieldmanager_test

import (
	"math/rand/v2"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gatehouse/gatehouse/fieldmanager"
)

// generator fills and edits objects. Names and numbers are few, so that keys of lists collide and values are equal by chance.
type generator struct {
	*rand.Rand
	odd bool // with values that the short way leaves to the library
}

var words = []string{"a", "b", "c-d", "e.f/g", "TCP", "UDP", "x1", "zz"}

func (g *generator) word() string {
	if g.odd && g.IntN(40) == 0 {
		return "<\"é&"
	}
	return words[g.IntN(len(words))]
}

// fill sets v to something. Deep parts are often left empty, since types contain themselves.
func (g *generator) fill(v reflect.Value, depth int) {
	if g.special(v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if g.IntN(depth+2) < 2 && depth < 12 {
			v.Set(reflect.New(v.Type().Elem()))
			g.fill(v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if g.IntN(3) > 0 || v.Type().Field(i).Anonymous {
				g.fill(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(g.word()))
			return
		}
		g.fillSlice(v, depth)
	case reflect.Map:
		g.fillMap(v, depth)
	case reflect.String:
		v.SetString(g.word())
	case reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(g.IntN(4)))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(g.IntN(4)))
	case reflect.Float64:
		v.SetFloat(float64(g.IntN(4)))
	}
}

func (g *generator) fillSlice(v reflect.Value, depth int) {
	n := g.IntN(4)
	if depth > 8 {
		n = g.IntN(2)
	}
	if n == 0 && g.IntN(2) == 0 {
		v.SetZero()
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		g.fill(v.Index(i), depth+1)
	}
}

func (g *generator) fillMap(v reflect.Value, depth int) {
	v.Set(reflect.MakeMap(v.Type()))
	for range g.IntN(4) {
		key := reflect.New(v.Type().Key()).Elem()
		key.SetString(g.word())
		value := reflect.New(v.Type().Elem()).Elem()
		g.fill(value, depth+1)
		v.SetMapIndex(key, value)
	}
}

// special fills the types that write their own JSON.
func (g *generator) special(v reflect.Value) bool {
	switch p := v.Addr().Interface().(type) {
	case *metav1.Time:
		p.Time = time.Unix(int64(g.IntN(3))*1000, 0)
	case *metav1.MicroTime:
		p.Time = time.Unix(int64(g.IntN(3))*1000, 0)
	case *metav1.Duration:
		p.Duration = time.Duration(g.IntN(3)) * time.Second
	case *resource.Quantity:
		*p = resource.MustParse([]string{"1", "1000m", "2Gi"}[g.IntN(3)])
	case *intstr.IntOrString:
		*p = []intstr.IntOrString{intstr.FromInt32(1), intstr.FromString("a"), intstr.FromInt32(2)}[g.IntN(3)]
	case *runtime.RawExtension:
		p.Raw = []byte([]string{`{"a":1}`, `{"a":1,"b":[2]}`, `{ "b":[2], "a":1 }`}[g.IntN(3)])
	case *[]metav1.ManagedFieldsEntry:
		return true
	default:
		return len(v.Type().PkgPath()) > 0 && marshals(v.Type())
	}
	return true
}

func marshals(t reflect.Type) bool {
	m := reflect.TypeFor[interface{ MarshalJSON() ([]byte, error) }]()
	return reflect.PointerTo(t).Implements(m)
}

// edit changes a few places of v.
func (g *generator) edit(v reflect.Value, depth int) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if _, ok := v.Addr().Interface().(*[]metav1.ManagedFieldsEntry); ok {
		return
	}
	if g.IntN(8) == 0 && depth > 1 {
		v.SetZero()
		if g.IntN(3) > 0 {
			g.fill(v, depth)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if marshals(v.Type()) {
			return
		}
		for i := range v.NumField() {
			if g.IntN(3) == 0 {
				g.edit(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if v.Index(i).CanAddr() && g.IntN(2) == 0 {
				g.edit(v.Index(i), depth+1)
			}
		}
		if v.Len() > 1 && g.IntN(4) == 0 {
			swap := reflect.Swapper(v.Interface())
			swap(0, v.Len()-1)
		}
	}
}

func filled(g *generator, o fieldmanager.Object) fieldmanager.Object {
	g.fill(reflect.ValueOf(o).Elem(), 0)
	o.SetManagedFields(nil)
	return o
}
