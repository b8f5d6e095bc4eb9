package storage_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/gatehouse/gatehouse/kinds/storage"
)

// many is as many elements as a request of the largest size has, about. With a loop over all pairs of them a test would take minutes.
const many = 90_000

func numbers() []string {
	list := make([]string, many)
	for i := range list {
		list[i] = "n" + strconv.Itoa(i)
	}
	return append(list, "n7")
}

// TestLongLists guards against work, and errors, that grow faster than the request.
func TestLongLists(t *testing.T) {
	differing := make([]corev1.TopologySelectorTerm, many)
	for i, n := range numbers()[:many] {
		differing[i].MatchLabelExpressions = []corev1.TopologySelectorLabelRequirement{{Key: "k", Values: []string{n}}}
	}
	class := func(terms ...corev1.TopologySelectorTerm) *storagev1.StorageClass {
		return &storagev1.StorageClass{Provisioner: "p", AllowedTopologies: terms}
	}
	values := corev1.TopologySelectorTerm{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: "k", Values: numbers()}}}
	node, oldNode := &storagev1.CSINode{}, &storagev1.CSINode{}
	for _, n := range numbers() {
		node.Spec.Drivers = append(node.Spec.Drivers, storagev1.CSINodeDriver{Name: n, NodeID: "a"})
	}
	oldNode.Spec.Drivers = append(oldNode.Spec.Drivers, node.Spec.Drivers[:many]...)
	node.Spec.Drivers[5].NodeID = "b"
	topology := &storagev1.CSINode{Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: "d", NodeID: "a", TopologyKeys: numbers()}}}}
	tests := []struct {
		name  string
		check func() int // how many errors there are
		want  int
	}{
		{"terms that differ", func() int { return errorsOf(storage.StorageClass().Check("", class(differing...), nil)) }, 0},
		{"one of them twice", func() int {
			return errorsOf(storage.StorageClass().Check("", class(append(differing, differing[7])...), nil))
		}, 1},
		{"empty terms", func() int {
			return min(errorsOf(storage.StorageClass().Check("", class(make([]corev1.TopologySelectorTerm, many)...), nil)), 2000)
		}, 2000},
		{"values of a term", func() int { return errorsOf(storage.StorageClass().Check("", class(values), nil)) }, 1},
		{"drivers", func() int { return errorsOf(storage.CSINode().Check("", node, oldNode)) }, 2},
		{"topology keys", func() int { return errorsOf(storage.CSINode().Check("", topology, nil)) }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.check()); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func errorsOf[E any](errs []E, _ []string) int { return len(errs) }

// TestTermsThatLookAlike guards against terms that are taken for the same because their parts, put together, are.
func TestTermsThatLookAlike(t *testing.T) {
	term := func(values ...string) corev1.TopologySelectorTerm {
		return corev1.TopologySelectorTerm{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: "k", Values: values}}}
	}
	class := &storagev1.StorageClass{Provisioner: "p", AllowedTopologies: []corev1.TopologySelectorTerm{
		term("a", "b"), term("a b"), term(`a" "b`), term("ab"), term("a\xffb"), term("a\xfeb"),
	}}
	if errs, _ := storage.StorageClass().Check("", class, nil); len(errs) > 0 {
		t.Error(errs)
	}
}
