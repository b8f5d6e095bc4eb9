package resource_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/resource"
)

func builtin(t *testing.T) *resource.Table {
	t.Helper()
	table, err := resource.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func lookup(t *testing.T, group, version, name string) *resource.Type {
	t.Helper()
	ty, ok := builtin(t).Lookup(group, version, name)
	if !ok {
		t.Fatalf("%s/%s %s is not in the table", group, version, name)
	}
	return ty
}

// recorded reads what the reference sent for the types of one group version: per resource the columns, and per object the
// object, the cells and when they were asked for.
func recorded(t *testing.T, group, version string) map[string]string {
	t.Helper()
	name := strings.TrimSuffix(group, ".k8s.io")
	if name == "" {
		name = "core"
	}
	text, err := os.ReadFile(filepath.Join("testdata", "columns", name+"_"+version+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, f := range txtar.Parse(text).Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// sent is a value as a client reads it.
func sent(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	decode(t, string(text), &out)
	return out
}

// notRecorded are the persisted types whose tables the reference was not asked for.
var notRecorded = map[string]bool{
	"mutatingadmissionpolicies": true, "mutatingadmissionpolicybindings": true, "resourceclaimtemplates": true,
}

// kubectl prints what it is sent: columns and cells have to be those of the reference, to the letter.
func TestTablesAreThoseOfTheReference(t *testing.T) {
	for _, ty := range builtin(t).Types() {
		if !ty.Persisted() || notRecorded[ty.Resource] {
			continue
		}
		t.Run(ty.GroupVersion()+"/"+ty.Resource, func(t *testing.T) {
			files := recorded(t, ty.Group, ty.Version)
			var want []resource.Column
			decode(t, files[ty.Resource+"/columns"], &want)
			if diff := cmp.Diff(want, resource.ColumnsOf(ty)); diff != "" {
				t.Errorf("columns (-reference +ours):\n%s", diff)
			}
			rows := 0
			for name, text := range files {
				base, isObject := strings.CutSuffix(name, "/object")
				if !isObject || !strings.HasPrefix(name, ty.Resource+"/") {
					continue
				}
				o := ty.New()
				decode(t, text, o)
				var cells any
				decode(t, files[base+"/cells"], &cells)
				now, err := time.Parse(time.RFC3339, strings.TrimSpace(files[base+"/now"]))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(cells, sent(t, resource.CellsOf(ty, o, now))); diff != "" {
					t.Errorf("%s (-reference +ours):\n%s", base, diff)
				}
				rows++
			}
			if rows == 0 {
				t.Error("no row was compared")
			}
		})
	}
}

// The cases that a plain cluster does not show: each is an object and, on the next line, what the reference prints for it.
func TestCells(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "cells.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files := txtar.Parse(text).Files
	now, err := time.Parse(time.RFC3339, strings.TrimSpace(string(files[0].Data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files[1:] {
		t.Run(f.Name, func(t *testing.T) {
			path, _, _ := strings.Cut(f.Name, ": ")
			parts := strings.Split(path, "/")
			group := strings.Join(parts[:len(parts)-2], "/")
			ty := lookup(t, group, parts[len(parts)-2], parts[len(parts)-1])
			object, cells, _ := strings.Cut(string(f.Data), "\n")
			o := ty.New()
			decode(t, object, o)
			var want any
			decode(t, cells, &want)
			if diff := cmp.Diff(want, sent(t, resource.CellsOf(ty, o, now))); diff != "" {
				t.Errorf("cells (-reference +ours):\n%s", diff)
			}
		})
	}
}

// kubectl wait and dashboards leave out the rows of pods that are over.
func TestRowsOfPodsThatAreOver(t *testing.T) {
	ty := lookup(t, "", "v1", "pods")
	for phase, want := range map[corev1.PodPhase]string{
		corev1.PodRunning: "", corev1.PodSucceeded: "Succeeded", corev1.PodFailed: "Failed",
	} {
		got := ""
		for _, c := range resource.ConditionsOf(ty, &corev1.Pod{Status: corev1.PodStatus{Phase: phase}}) {
			if c.Type == metav1.RowCompleted && c.Status == metav1.ConditionTrue {
				got = c.Reason
			}
		}
		if got != want {
			t.Errorf("%s: completed with reason %q, want %q", phase, got, want)
		}
	}
}

// A row with fewer or more cells than columns shifts what clients print. One type of the reference has a cell too many.
func TestEveryColumnHasACell(t *testing.T) {
	for _, ty := range builtin(t).Types() {
		want := len(resource.ColumnsOf(ty))
		if ty.Resource == "ipaddresses" {
			want++
		}
		// An object with nothing in it must not make it fail either.
		if got := len(resource.CellsOf(ty, ty.New(), time.Time{})); got != want {
			t.Errorf("%s: %d cells for %d columns", ty.GVR(), got, want)
		}
	}
}

func TestAgeOfObjectWithoutTime(t *testing.T) {
	ty := lookup(t, "", "v1", "serviceaccounts")
	o := ty.New()
	o.SetName("sa")
	if diff := cmp.Diff([]any{"sa", "<unknown>"}, resource.CellsOf(ty, o, time.Now())); diff != "" {
		t.Error(diff)
	}
}

// The cells of an object are kept as long as its revision; only ages may change.
func TestCellsFollowTheClock(t *testing.T) {
	ty := lookup(t, "", "v1", "namespaces")
	o := ty.New()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o.SetCreationTimestamp(metav1.NewTime(start))
	for want, after := range map[string]time.Duration{"10s": 10 * time.Second, "5m": 5 * time.Minute, "3d": 72 * time.Hour} {
		if got := resource.CellsOf(ty, o, start.Add(after))[2]; got != want {
			t.Errorf("after %s: %v, want %s", after, got, want)
		}
	}
}
