package policies_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gatehouse/gatehouse/policies"
)

// TestStructsAreWhatTheirJSONIs holds the direct conversion against the one by way of a generic map, for objects full of random values.
func TestStructsAreWhatTheirJSONIs(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, networkingv1.AddToScheme, autoscalingv2.AddToScheme,
		admissionregistrationv1.AddToScheme, resourcev1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	for kind := range scheme.AllKnownTypes() {
		t.Run(kind.GroupKind().String()+"."+kind.Version, func(t *testing.T) {
			for seed := range uint64(20) {
				object, err := scheme.New(kind)
				if err != nil {
					t.Fatal(err)
				}
				filler{rand.New(rand.NewPCG(seed, 1))}.fill(reflect.ValueOf(object).Elem(), 0)
				equalsGeneric(t, object, kind)
				seesAllNames(t, object, kind)
			}
		})
	}
}

func equalsGeneric(t *testing.T, object runtime.Object, kind schema.GroupVersionKind) {
	t.Helper()
	generic, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	if generic["kind"] == nil {
		generic["kind"] = kind.Kind
	}
	if generic["apiVersion"] == nil {
		generic["apiVersion"] = kind.GroupVersion().String()
	}
	want, err := ast.InterfaceToValue(generic)
	if err != nil {
		t.Fatal(err)
	}
	got, err := policies.ObjectValue(object, kind)
	if err != nil {
		t.Fatal(err)
	}
	if got.Compare(want) != 0 || got.Hash() != want.Hash() {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
}

// seesAllNames: a policy is not asked about an object without the names that it needs, so that none may be missed.
func seesAllNames(t *testing.T, object runtime.Object, kind schema.GroupVersionKind) {
	t.Helper()
	converted, err := policies.ObjectValue(object, kind)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.WalkTerms(ast.NewTerm(converted), func(term *ast.Term) bool {
		if o, ok := term.Value.(ast.Object); ok {
			for _, key := range o.Keys() {
				names = append(names, string(key.Value.(ast.String)))
			}
		}
		return false
	})
	if missed := policies.Unseen(object, names); len(missed) > 0 {
		t.Fatalf("%v are not seen in %v", missed, converted)
	}
}

// filler sets fields at random; some stay empty, so that what is left out of JSON is met too.
type filler struct{ *rand.Rand }

func (f filler) fill(v reflect.Value, depth int) {
	switch target := v.Addr().Interface().(type) {
	case *metav1.Time:
		target.Time = time.Unix(f.Int64N(1<<32), 0)
		return
	case *metav1.MicroTime:
		target.Time = time.Unix(f.Int64N(1<<32), 1000*f.Int64N(1e6))
		return
	case *resource.Quantity:
		*target = *resource.NewMilliQuantity(f.Int64N(1e6), resource.DecimalSI)
		return
	case *intstr.IntOrString:
		*target = []intstr.IntOrString{intstr.FromInt32(f.Int32()), intstr.FromString("10%")}[f.IntN(2)]
		return
	case *metav1.FieldsV1:
		target.SetRawString(`{"f:metadata":{"f:labels":{".":{},"n":1.5}}}`)
		return
	case *runtime.RawExtension:
		target.Raw = []byte(`{"a":[1,2.5,null,true,"x"]}`)
		return
	}
	if depth > 12 || f.IntN(4) == 0 {
		return
	}
	f.fillKind(v, depth+1)
}

func (f filler) fillKind(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString([]string{"", "a", "name-1", "\"quoted\"\n", "große", strings.Repeat("x", 100)}[f.IntN(6)])
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 0)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt([]int64{0, -1, 80, 1000, math.MaxInt32}[f.IntN(5)])
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.IntN(200)))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.IntN(100)) / 8)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), depth)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), f.IntN(3), 3))
		for i := range v.Len() {
			f.fill(v.Index(i), depth)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range f.IntN(3) {
			element := reflect.New(v.Type().Elem()).Elem()
			f.fill(element, depth)
			v.SetMapIndex(reflect.ValueOf(fmt.Sprint("key", i)).Convert(v.Type().Key()), element)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				f.fill(v.Field(i), depth)
			}
		}
	}
}

func TestWhatIsNoObjectIsRefused(t *testing.T) {
	var absent *corev1.Pod
	for name, object := range map[string]any{
		"a number": 7, "a struct and no pointer to one": corev1.Pod{}, "a nil pointer": absent,
		"a number that JSON lacks": &struct {
			F float64 `json:"f"`
		}{math.NaN()},
		"a field that JSON lacks": &struct {
			F func() `json:"f"`
		}{func() {}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := policies.ObjectValue(object, schema.GroupVersionKind{Kind: "Thing"}); err == nil {
				t.Errorf("got %v", got)
			}
		})
	}
}

// BenchmarkObjectValue compares the two ways from a struct to a value.
func BenchmarkObjectValue(b *testing.B) {
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(largePod(), pod); err != nil {
		b.Fatal(err)
	}
	b.Run("direct", func(b *testing.B) {
		b.ReportAllocs()
		convert := policies.NewObjectValue()
		for b.Loop() {
			if _, err := convert(pod, corev1.SchemeGroupVersion.WithKind("Pod")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("generic", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := ast.InterfaceToValue(m); err != nil {
				b.Fatal(err)
			}
		}
	})
}
