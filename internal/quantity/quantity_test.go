package quantity_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/internal/quantity"
)

func TestCheck(t *testing.T) {
	long := strings.Repeat("1", quantity.MaxBytes)
	for text, ok := range map[string]bool{
		"1": true, "100m": true, "1.5Gi": true, "2E": true, "12e6": true, "1e-9": true, "1E+1000": true, "1e-0000000000001": true, long: true,
		"": true, "e": true, "deadbeef": true, "1e10x": true,
		"1e1001": false, "1e-1001": false, "1E-9999999": false, "1e+2147483648": false, "1e99999999999999999999999": false,
		"-0.1e-00099999": false, long + "1": false, "0." + long: false,
	} {
		if err := quantity.Check(text); (err == nil) != ok {
			t.Errorf("Check(%.40q) = %v, want ok: %v", text, err, ok)
		}
		if !ok && !quantity.Suspect([]byte(`{"a":"`+text+`"}`)) {
			t.Errorf("%.40q in a document is not suspect", text)
		}
	}
	for _, escaped := range []string{`"\u0031e-9999999"`, `"\t1e-9999999"`, `"1e-999999\u0039"`, `"a\n","1e-9999999"`, `1e-9999999`, `[" 1e-9999999"]`} {
		if !quantity.Suspect([]byte(escaped)) {
			t.Errorf("%s is not suspect", escaped)
		}
	}
	for _, ordinary := range []string{
		`{"a":"100m","b":1.25e10,"time":"2026-11-21T20:15:00Z","hash":"3e8f"}`, `{"uid":"7e12345a-b1e9-43e8-9123-3e99999f0c11"}`,
		`{"imageID":"registry.example.com/web@sha256:9e2345678a0b1c2d3e4567890f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c"}`,
	} {
		if quantity.Suspect([]byte(ordinary)) {
			t.Errorf("%s is suspect", ordinary)
		}
	}
}

// TestCheckJSON looks for a quantity where the decoder would parse one, and nowhere else.
func TestCheckJSON(t *testing.T) {
	const bad = `"1e-9999999"`
	pod := reflect.TypeFor[corev1.Pod]()
	in := func(requests string) string {
		return `{"spec":{"containers":[{"resources":{"requests":` + requests + `}}]}}`
	}
	for name, tt := range map[string]struct {
		document string
		refused  bool
	}{
		"a good one":            {in(`{"cpu":"1e3"}`), false},
		"a text":                {in(`{"cpu":` + bad + `}`), true},
		"a text with spaces":    {in(`{"cpu":" 1e-9999999 "}`), true},
		"a number":              {in(`{"cpu":1e-9999999}`), true},
		"the first of two":      {in(`{"cpu":` + bad + `,"cpu":"1"}`), true},
		"the last of two":       {in(`{"cpu":"1","cpu":` + bad + `}`), true},
		"of a repeated parent":  {`{"spec":{"overhead":{"cpu":` + bad + `}},"spec":{}}`, true},
		"in another case":       {`{"SPEC":{"Overhead":{"cpu":` + bad + `}}}`, true},
		"behind a pointer":      {`{"spec":{"volumes":[{"emptyDir":{"sizeLimit":` + bad + `}}]}}`, true},
		"too long":              {in(`{"cpu":"` + strings.Repeat("9", 1000) + `"}`), true},
		"an annotation":         {`{"metadata":{"annotations":{"a":` + bad + `}}}`, false},
		"a name":                {`{"metadata":{"name":` + bad + `}}`, false},
		"what nobody knows":     {`{"nothing":{"cpu":` + bad + `}}`, false},
		"no JSON":               {`{"spec":{"overhead" {"cpu":` + bad + `}}`, false},
		"JSON that is cut off":  {`{"spec":{"volumes":[{"name":` + bad, false},
		"a list for an object":  {`{"spec":[` + bad + `]}`, false},
		"an object for a value": {in(`{"cpu":{"a":` + bad + `}}`), false},
	} {
		if err := quantity.CheckJSON([]byte(tt.document), pod); (err != nil) != tt.refused {
			t.Errorf("%s: %v, want refused: %v", name, err, tt.refused)
		}
	}
}

// FuzzCheckJSON decodes what was let through, which must not take long.
func FuzzCheckJSON(f *testing.F) {
	f.Add(`{"spec":{"overhead":{"cpu":"1e-9999999"}}}`)
	f.Add(`{"spec":{"overhead":{"cpu":1E999}},"spec":[]}`)
	f.Fuzz(func(t *testing.T, document string) {
		if quantity.CheckJSON([]byte(document), reflect.TypeFor[corev1.Pod]()) != nil {
			return
		}
		var pod corev1.Pod
		if json.Unmarshal([]byte(document), &pod) == nil {
			for name, q := range pod.Spec.Overhead {
				if scale := q.AsDec().Scale(); scale > 300 || scale < -2000 {
					t.Errorf("%s has the scale %d", name, scale)
				}
			}
		}
	})
}

// FuzzCheck holds the look at the bytes of a document against the look at each text.
func FuzzCheck(f *testing.F) {
	f.Add("1e-9999999")
	f.Add("1.5Gi")
	f.Fuzz(func(t *testing.T, text string) {
		numeric := strings.Trim(text, "0123456789.+-eE") == "" && text != "" && text[0] != 'e' && text[0] != 'E'
		if numeric && quantity.Check(text) != nil && !quantity.Suspect([]byte(`"`+text+`"`)) {
			t.Errorf("%q is refused and not suspect", text)
		}
	})
}
