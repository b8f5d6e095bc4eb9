package core_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

const qualified = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
	"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

// A claim that is made for a pod has no name of its own, and what is wrong with it is told with the words that a claim itself gets. The
// wanted causes are those of kube-apiserver.
func TestClaimTemplate(t *testing.T) {
	kind := rules.For(rules.Spec[corev1.EphemeralVolumeSource]{
		Fields: []rules.Entry{rules.At("volumeClaimTemplate", rules.Required(), core.ClaimTemplate())},
	})
	v := &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{
		ObjectMeta: metav1.ObjectMeta{Name: "x", Labels: map[string]string{"a b": "c"}, Annotations: map[string]string{"d e": "f"}},
	}}
	v.VolumeClaimTemplate.Spec.Resources.Requests = corev1.ResourceList{"storage": resource.MustParse("-1")}
	kind.Default(v)
	if mode := v.VolumeClaimTemplate.Spec.VolumeMode; mode == nil || *mode != corev1.PersistentVolumeFilesystem {
		t.Errorf("volume mode = %v", mode)
	}
	errs, _ := kind.Check("", v, nil)
	var got []string
	for _, e := range errs {
		got = append(got, e.Error())
	}
	if diff := cmp.Diff([]string{
		`volumeClaimTemplate.metadata.annotations: Invalid value: "d e": ` + qualified,
		`volumeClaimTemplate.metadata.labels: Invalid value: "a b": ` + qualified,
		"volumeClaimTemplate.metadata.name: Forbidden: cannot be set",
		"volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required",
		`volumeClaimTemplate.spec.resources[storage]: Invalid value: "-1": must be greater than zero`,
	}, got); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}
