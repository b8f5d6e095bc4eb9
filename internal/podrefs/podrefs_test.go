package podrefs_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/internal/podrefs"
)

// everything names one object in each place where a pod can name one, and leaves out the name in some.
const everything = `
metadata: {name: p, namespace: ns}
spec:
  imagePullSecrets: [{name: pull}, {}]
  initContainers:
  - envFrom: [{secretRef: {name: init-from}}, {configMapRef: {name: init-map}}]
  containers:
  - env:
    - {name: A, valueFrom: {secretKeyRef: {name: key, key: k}}}
    - {name: B, valueFrom: {configMapKeyRef: {name: key-map, key: k}}}
    - {name: C, value: plain}
  ephemeralContainers:
  - envFrom: [{secretRef: {name: ephemeral-from}}, {configMapRef: {name: ephemeral-map}}]
  volumes:
  - {name: v1, azureFile: {secretName: azure, shareName: s}}
  - {name: v2, cephfs: {secretRef: {name: ceph}}}
  - {name: v3, cinder: {secretRef: {name: cinder}}}
  - {name: v4, flexVolume: {secretRef: {name: flex}}}
  - {name: v5, projected: {sources: [{secret: {name: projected}}, {configMap: {name: projected-map}}, {serviceAccountToken: {path: t}}]}}
  - {name: v6, rbd: {secretRef: {name: rbd}}}
  - {name: v7, secret: {secretName: mounted}}
  - {name: v8, scaleIO: {secretRef: {name: scaleio}}}
  - {name: v9, iscsi: {secretRef: {name: iscsi}}}
  - {name: v10, storageos: {secretRef: {name: storageos}}}
  - {name: v11, csi: {driver: d, nodePublishSecretRef: {name: csi}}}
  - {name: v12, configMap: {name: mounted-map}}
  - {name: v13, persistentVolumeClaim: {claimName: claim}}
  - {name: v14, ephemeral: {}}
  - {name: v15, emptyDir: {}}
  - {name: v16, cephfs: {}}
  resourceClaims:
  - {name: a, resourceClaimName: direct}
  - {name: b, resourceClaimTemplateName: t}
  - {name: c, resourceClaimTemplateName: t}
  - {name: d, resourceClaimTemplateName: t}
status:
  resourceClaimStatuses: [{name: b, resourceClaimName: made}, {name: c}]
  extendedResourceClaimStatus: {resourceClaimName: extended}
`

func TestReferences(t *testing.T) {
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(everything), &pod); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{
		"secrets": slices.Collect(podrefs.Secrets(&pod)), "config maps": slices.Collect(podrefs.ConfigMaps(&pod)),
		"claims": slices.Collect(podrefs.Claims(&pod)), "resource claims": slices.Collect(podrefs.ResourceClaims(&pod)),
	}
	want := map[string][]string{
		"secrets": {
			"pull", "init-from", "key", "ephemeral-from", "azure", "ceph", "cinder", "flex", "projected", "rbd", "mounted",
			"scaleio", "iscsi", "storageos", "csi",
		},
		"config maps":     {"init-map", "key-map", "ephemeral-map", "projected-map", "mounted-map"},
		"claims":          {"claim", "p-v14"},
		"resource claims": {"direct", "made", "extended"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	for range podrefs.Secrets(&pod) {
		break // A reader that stops early must not be called again: range panics if it is.
	}
	for range podrefs.ConfigMaps(&pod) {
		break
	}
}

func TestVolumeSecrets(t *testing.T) {
	tests := []struct {
		name, spec string
		want       []podrefs.Name
	}{
		{"none", `{hostPath: {path: /x}}`, nil},
		{"azure, in the claim's namespace", `{azureFile: {secretName: s, shareName: x}}`, []podrefs.Name{{"claims", "s"}}},
		{"azure, in its own", `{azureFile: {secretName: s, secretNamespace: own, shareName: x}}`, []podrefs.Name{{"own", "s"}}},
		{"ceph, in the claim's namespace", `{cephfs: {secretRef: {name: s}}}`, []podrefs.Name{{"claims", "s"}}},
		{"cinder has no other namespace", `{cinder: {secretRef: {name: s, namespace: own}}}`, []podrefs.Name{{"own", "s"}}},
		{"flex", `{flexVolume: {secretRef: {name: s, namespace: own}}}`, []podrefs.Name{{"own", "s"}}},
		{"rbd", `{rbd: {secretRef: {name: s}}}`, []podrefs.Name{{"claims", "s"}}},
		{"scaleio", `{scaleIO: {secretRef: {name: s}}}`, []podrefs.Name{{"claims", "s"}}},
		{"iscsi", `{iscsi: {secretRef: {name: s, namespace: own}}}`, []podrefs.Name{{"own", "s"}}},
		{"storageos", `{storageos: {secretRef: {name: s, namespace: own}}}`, []podrefs.Name{{"own", "s"}}},
		{"an empty name is none", `{cephfs: {secretRef: {namespace: own}}}`, nil},
		{
			"of csi those for the node, and not those of controllers",
			`{csi: {nodePublishSecretRef: {name: publish, namespace: a}, nodeStageSecretRef: {name: stage, namespace: b},
			nodeExpandSecretRef: {name: expand, namespace: c}, controllerPublishSecretRef: {name: other, namespace: d},
			controllerExpandSecretRef: {name: other, namespace: d}}}`,
			[]podrefs.Name{{"a", "publish"}, {"b", "stage"}, {"c", "expand"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pv := corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}}
			if err := yaml.Unmarshal([]byte(tt.spec), &pv.Spec); err != nil {
				t.Fatal(err)
			}
			pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "claims", Name: "c"}
			if diff := cmp.Diff(tt.want, slices.Collect(podrefs.VolumeSecrets(&pv))); diff != "" {
				t.Errorf("secrets (-want +got):\n%s", diff)
			}
		})
	}
}
