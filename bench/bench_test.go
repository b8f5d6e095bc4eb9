package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	tests := []struct {
		name, a, b string
		want       []string
	}{
		{"the same pod", `{"spec":{"a":[{"b":1}]}}`, `{"spec":{"a":[{"b":1}]}}`, nil},
		{"a default that one server leaves out", `{"spec":{"a":1}}`, `{"spec":{}}`, []string{".spec.a"}},
		{"a field that only the other has", `{}`, `{"spec":{"a":1}}`, []string{".spec"}},
		{"deep in a list", `{"c":[{"x":1},{"x":2}]}`, `{"c":[{"x":1},{"x":3}]}`, []string{".c[1].x"}},
		{"lists of two lengths", `{"c":[1]}`, `{"c":[1,2]}`, []string{".c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a, b any
			for data, into := range map[string]*any{tt.a: &a, tt.b: &b} {
				if err := json.Unmarshal([]byte(data), into); err != nil {
					t.Fatal(err)
				}
			}
			if tt.a == tt.b {
				b = a
			}
			found := make(map[string]bool)
			diff("", a, b, found)
			if d := cmp.Diff(tt.want, slices.Sorted(maps.Keys(found))); d != "" {
				t.Errorf("paths (-want +got):\n%s", d)
			}
		})
	}
}

func TestCountItems(t *testing.T) {
	tests := []struct {
		name, body, accept string
		ok                 bool
	}{
		{"all there", `{"kind":"PodList","items":[{},{}]}`, jsonType, true},
		{"one missing", `{"kind":"PodList","items":[{}]}`, jsonType, false},
		{"a table", `{"kind":"Table","rows":[{},{}]}`, tableType, true},
		{"a list in place of a table", `{"kind":"PodList","items":[{},{}]}`, tableType, false},
		{"an error in place of a list", `{"kind":"Status"}`, jsonType, false},
		{"half an answer", `{"kind":"PodList","items":[{},{`, jsonType, false},
		{"protobuf", "k8s\x00 pod-template-hash pod-template-hash", protoType, true},
		{"protobuf of one pod", "k8s\x00 pod-template-hash", protoType, false},
		{"JSON in place of protobuf", `{"kind":"PodList","items":[{},{}]}`, protoType, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := countItems([]byte(tt.body), tt.accept, 2); (err == nil) != tt.ok {
				t.Errorf("countItems: %v, want ok %t", err, tt.ok)
			}
		})
	}
}

// TestReport guards the figures that a reader takes away: the median and not the
// mean, the ratio the right way round, and no figure where there is none.
func TestReport(t *testing.T) {
	r := report{commit: "abc", rounds: 3, pods: 500, inFlight: 1, remarks: []string{"A remark."}}
	get := r.line("get", "GET", 0.075, milliseconds)
	get.ratioGoal = 5
	get.cell(nameKube).samples = []float64{0.3, 9, 0.2}
	get.cell(nameGatehouse).samples = []float64{0.1, 0.06, 0.05}
	if err := note(r.line("apply", "APPLY", 0.3, milliseconds).cell(nameGatehouse), sample{}, refusal{status: 415}, 1); err != nil {
		t.Fatal(err)
	}
	if err := note(get.cell(nameKube), sample{perOp: time.Hour}, nil, 0); err != nil { // the warm-up does not count
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| GET | 0.3 ms | 0.0600 ms | 4.0x | >= 5x (missed) | <= 0.0750 ms (met) |",
		"| APPLY | not run | not supported (415) |  |  | <= 0.3 ms |",
		"A remark.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("report lacks %q:\n%s", want, out.String())
		}
	}
}

func TestProcessFigures(t *testing.T) {
	used, err := cpuTime(os.Getpid())
	if err != nil || used < 0 {
		t.Errorf("cpuTime of this process: %v, %v", used, err)
	}
	bytes, err := resident(os.Getpid())
	if err != nil || bytes < 1<<20 {
		t.Errorf("resident memory of this process: %d bytes, %v", bytes, err)
	}
	const none = 1 << 30 // above any pid
	if _, err := cpuTime(none); err == nil {
		t.Error("cpuTime of no process: no error")
	}
	if _, err := resident(none); err == nil {
		t.Error("resident memory of no process: no error")
	}
}
