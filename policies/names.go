package policies

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// vocabulary numbers the names that the needs of a set's policies are about.
type vocabulary struct {
	names    []fieldName
	exact    map[string]int // the numbers of those that are no prefixes
	prefixes []int          // the numbers of those that are
}

func (v *vocabulary) number(n fieldName) int {
	if i := slices.Index(v.names, n); i >= 0 {
		return i
	}
	i := len(v.names)
	v.names = append(v.names, n)
	if n.prefix {
		v.prefixes = append(v.prefixes, i)
	} else {
		v.exact[n.text] = i
	}
	return i
}

// numbered is a need whose names are numbers of a vocabulary.
type numbered [][]int

func (v *vocabulary) numbered(n need) numbered {
	all := make(numbered, len(n))
	for i, alternative := range n {
		for _, name := range alternative {
			all[i] = append(all[i], v.number(name))
		}
	}
	return all
}

func (n numbered) metBy(s *sighting) bool {
	return s.everything || slices.ContainsFunc(n, func(alternative []int) bool {
		return !slices.ContainsFunc(alternative, func(name int) bool { return !s.seen[name] })
	})
}

// sighting is which names of a vocabulary an object has, wherever it has them. No name is missed.
type sighting struct {
	*vocabulary
	values     *values
	seen       []bool // by number
	everything bool   // something could not be looked into, and may have any name
}

// sight looks through all parts of the review that can hold names which are not the same in each review.
func (v *vocabulary) sight(vs *values, r *Review) *sighting {
	s := &sighting{vocabulary: v, values: vs, seen: make([]bool, len(v.names))}
	s.object(r.Object)
	s.object(r.OldObject)
	for name := range r.NamespaceLabels {
		s.name(name)
	}
	for name := range r.User.Extra {
		s.name(name)
	}
	return s
}

func (s *sighting) name(name string) {
	if n, ok := s.exact[name]; ok {
		s.seen[n] = true
	}
	for _, n := range s.prefixes {
		if strings.HasPrefix(name, s.names[n].text) {
			s.seen[n] = true
		}
	}
}

func (s *sighting) object(object any) {
	switch o := object.(type) {
	case nil:
		return
	case map[string]any:
		s.generic(o)
		return
	}
	s.name("apiVersion") // a struct that leaves them out gets them
	s.name("kind")
	v := reflect.ValueOf(object)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		s.everything = true // no object at all: whoever is asked will refuse it
		return
	}
	s.value(v.Elem())
}

// generic looks through decoded JSON.
func (s *sighting) generic(x any) {
	switch x := x.(type) {
	case map[string]any:
		for name, field := range x {
			s.name(name)
			s.generic(field)
		}
	case []any:
		for _, e := range x {
			s.generic(e)
		}
	case nil, string, bool, int64, float64:
	default:
		s.everything = true
	}
}

// value looks through a part of an API struct, as [conversion.convert] goes through it.
func (s *sighting) value(v reflect.Value) {
	switch {
	case isScalar(v.Kind()):
		return
	case v.Kind() == reflect.Pointer, v.Kind() == reflect.Interface:
		if !v.IsNil() {
			s.value(v.Elem())
		}
		return
	}
	p := s.values.plan(v.Type())
	if p.convert != nil {
		s.ownForm(v)
		return
	}
	switch v.Kind() {
	case reflect.Slice:
		if !isScalar(v.Type().Elem().Kind()) {
			for i := range v.Len() {
				s.value(v.Index(i))
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			s.name(entries.Key().String())
			s.value(entries.Value())
		}
	case reflect.Struct:
		for _, field := range p.fields {
			if f := field.GetFrom(v); !field.CanOmit(f) {
				s.name(field.JsonName)
				s.value(f)
			}
		}
	default:
		s.everything = true
	}
}

// isScalar says whether values of the kind are texts, numbers or truth values in JSON, in which there are no names.
func isScalar(k reflect.Kind) bool {
	return k == reflect.String || reflect.Bool <= k && k <= reflect.Float64
}

// ownForm looks into a value of a type with a JSON form of its own.
func (s *sighting) ownForm(v reflect.Value) {
	switch v.Type() {
	case reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[resource.Quantity](),
		reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime](), reflect.TypeFor[metav1.Duration]():
		// numbers and strings have no names
	default:
		s.everything = true
	}
}
