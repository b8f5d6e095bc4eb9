package resource_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// patchable is a kind with an object to patch.
type patchable struct {
	kind schema.GroupVersionKind
	new  func() resource.Object
	text string
}

func patchables() map[string]patchable {
	return map[string]patchable{
		"pod": {corev1.SchemeGroupVersion.WithKind("Pod"), func() resource.Object { return &corev1.Pod{} }, `
metadata:
  {name: p, namespace: default, uid: u, creationTimestamp: "2026-01-01T00:00:00Z", labels: {a: b}, annotations: {c: d, e: f}, finalizers: [x/y, z/w],
   ownerReferences: [{apiVersion: v1, kind: Node, name: one, uid: "1"}]}
spec:
  containers: [{name: c, image: i, resources: {limits: {cpu: 1500m}}, ports: [{containerPort: 80, protocol: TCP}]}, {name: d, image: j}]
  securityContext: {runAsUser: 5, seLinuxOptions: {level: l}}
  dnsConfig: {searches: [a, b]}
  tolerations: [{key: k, operator: Exists}]
status:
  {phase: Running, startTime: "2026-01-01T00:00:00Z", conditions: [{type: Ready, status: "True"}, {type: PodScheduled, status: "True"}], podIPs: [{ip: 10.0.0.1}]}`},
		"deployment": {appsv1.SchemeGroupVersion.WithKind("Deployment"), func() resource.Object { return &appsv1.Deployment{} }, `
metadata: {name: d, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {a: b}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 1}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i, env: [{name: A, value: "1"}]}], nodeSelector: {a: b}}}`},
		"persistent volume": {corev1.SchemeGroupVersion.WithKind("PersistentVolume"), func() resource.Object { return &corev1.PersistentVolume{} }, `
metadata: {name: v}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /a, type: Directory}, claimRef: {name: c, namespace: default}}`},
		"secret": {corev1.SchemeGroupVersion.WithKind("Secret"), func() resource.Object { return &corev1.Secret{} }, `
metadata: {name: s, namespace: default}
data: {a: AAEC, empty: ""}
type: Opaque`},
	}
}

// excerptPatches are applied to each kind, whether they fit or not.
var excerptPatches = []string{
	`{}`, `{"":{}}`, `{"-":1,"metadata":{"":null}}`, `{"metadata":{}}`, `{"metadata":{"annotations":{"c":"changed","n":"new","e":null}}}`, `{"metadata":{"labels":null}}`, `{"metadata":null}`,
	`{"metadata":{"annotations":{}},"spec":{}}`, `{"metadata":{"finalizers":["q/r"]}}`, `{"metadata":{"$deleteFromPrimitiveList/finalizers":["x/y"]}}`,
	`{"metadata":{"creationTimestamp":null,"deletionTimestamp":"2026-01-02T00:00:00Z"}}`, `{"metadata":{"name":5}}`, `{"metadata":{"Labels":{"a":"x"}}}`,
	`{"metadata":{"ownerReferences":[{"uid":"1","$patch":"delete"}]}}`, `{"metadata":{"$patch":"replace","name":"n"}}`, `{"metadata":{"$retainKeys":["name"]}}`,
	`{"bogus":1,"metadata":{"bogus":{"x":null}}}`, `{"kind":"Other"}`, `{"apiVersion":null,"kind":null}`, `{"apiVersion":"v2"}`,
	`{"spec":null}`, `{"spec":[]}`, `{"spec":"x"}`, `{"spec":{"$patch":"delete"}}`, `{"spec":{"$patch":"frob"}}`, `{"$patch":"replace","metadata":{"name":"n"}}`, `{"$setElementOrder/x":1}`,
	`{"spec":{"containers":[{"name":"c","image":"x"}]}}`, `{"spec":{"containers":[{"name":"c","$patch":"delete"}]}}`, `{"spec":{"containers":[{"image":"x"}]}}`,
	`{"spec":{"$setElementOrder/containers":[{"name":"d"},{"name":"c"}],"containers":[{"name":"c","image":"x"}]}}`,
	`{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"2","memory":"1Gi"}},"ports":[{"containerPort":81}]}]}}`,
	`{"spec":{"securityContext":{"runAsUser":6,"runAsGroup":7}}}`, `{"spec":{"securityContext":{"seLinuxOptions":{"level":null,"role":"r"}}}}`, `{"spec":{"securityContext":null}}`,
	`{"spec":{"securityContext":{"seLinuxOptions":{"$patch":"replace","role":"r"}}}}`, `{"spec":{"affinity":{"nodeAffinity":{}}}}`, `{"spec":{"affinity":{"bogus":null}}}`,
	`{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`, `{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}`, `{"spec":{"replicas":5}}`, `{"spec":{"replicas":5.0}}`,
	`{"spec":{"selector":{"matchLabels":{"c":"d"}}}}`, `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"x"}],"nodeSelector":{"a":null,"b":"c"}}}}}`,
	`{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"2"},{"name":"B"}]}]}}}}`, `{"spec":{"template":{"spec":{"activeDeadlineSeconds":"x"}}}}`,
	`{"spec":{"hostPath":{"path":"/b"}}}`, `{"spec":{"hostPath":null,"nfs":{"server":"s","path":"/"}}}`, `{"spec":{"capacity":{"storage":"2Gi"}}}`, `{"spec":{"capacity":{"storage":"1e99999"}}}`,
	`{"spec":{"claimRef":{"uid":"1"}}}`, `{"data":{"a":null,"b":"AQ=="}}`, `{"data":{"a":"?"}}`, `{"stringData":{"x":"y"}}`, `{"data":null}`, `{"type":"x","immutable":true}`,
	`{"status":{"message":"m"}}`, `{"status":{"conditions":[{"type":"Ready","status":"False"},{"type":"New","status":"True"}]}}`, `{"status":{"podIPs":null,"phase":""}}`,
	`{"status":{"startTime":null,"$setElementOrder/conditions":[{"type":"Ready"}],"conditions":[{"type":"Ready","$patch":"delete"}]}}`, `{"":1}`, `{"-":1}`, `{"ObjectMeta":{"name":"x"}}`,
}

// TestPatchExcerpt guards that it makes no difference whether a patch is applied to the part of an object that it is about or to the whole:
// neither to the outcome nor to what is refused and what is warned of.
func TestPatchExcerpt(t *testing.T) {
	for name, k := range patchables() {
		t.Run(name, func(t *testing.T) {
			for _, patch := range excerptPatches {
				comparePatched(t, k, []byte(patch))
			}
		})
	}
}

// TestPatchIsExcerpt guards that the patches that clients send most are not applied to the whole.
func TestPatchIsExcerpt(t *testing.T) {
	tests := []struct {
		kind, patch string
		want        bool
	}{
		{"pod", `{"metadata":{"annotations":{"a":"b"}}}`, true},
		{"pod", `{"metadata":{"uid":"u"},"status":{"$setElementOrder/conditions":[{"type":"Ready"}],"conditions":[{"type":"Ready","status":"True"}]}}`, true},
		{"deployment", `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"x"}}}}}`, true},
		{"deployment", `{"$patch":"replace"}`, false},
	}
	for _, tt := range tests {
		k := patchables()[tt.kind]
		if got := resource.IsExcerpt(types.StrategicMergePatchType, []byte(tt.patch), k.object(t)); got != tt.want {
			t.Errorf("%s: an excerpt %t, want %t", tt.patch, got, tt.want)
		}
	}
}

// FuzzPatchExcerpt does the same as TestPatchExcerpt with any patch.
func FuzzPatchExcerpt(f *testing.F) {
	for _, patch := range excerptPatches {
		f.Add([]byte(patch))
	}
	kinds := patchables()
	f.Fuzz(func(t *testing.T, patch []byte) {
		for _, k := range kinds {
			comparePatched(t, k, patch)
		}
	})
}

func (k patchable) object(t testing.TB) resource.Object {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(k.text))
	o := k.new()
	if err == nil {
		err = json.Unmarshal(data, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func comparePatched(t *testing.T, k patchable, patch []byte) {
	t.Helper()
	for _, media := range []types.PatchType{types.StrategicMergePatchType, types.MergePatchType} {
		for _, validation := range []resource.Validation{resource.ValidationStrict, resource.ValidationWarn} {
			current := k.object(t)
			part, partStatus, partWarnings := patched(k, media, patch, current, validation, false)
			if diff := cmp.Diff(k.object(t), current); diff != "" {
				t.Fatalf("%s %s changes the object that it is applied to:\n%s", media, patch, diff)
			}
			whole, wholeStatus, wholeWarnings := patched(k, media, patch, current, validation, true)
			if diff := cmp.Diff(wholeStatus, partStatus); diff != "" {
				t.Errorf("%s %s is refused in another way (-whole +excerpt):\n%s", media, patch, diff)
			}
			if diff := cmp.Diff(wholeWarnings, partWarnings); diff != "" {
				t.Errorf("%s %s warns of other things (-whole +excerpt):\n%s", media, patch, diff)
			}
			if diff := cmp.Diff(whole, part); diff != "" && wholeStatus == nil {
				t.Errorf("%s %s makes something else (-whole +excerpt):\n%s", media, patch, diff)
			}
		}
	}
}

func patched(k patchable, media types.PatchType, patch []byte, current resource.Object, v resource.Validation, whole bool) (resource.Object, *metav1.Status, []string) {
	o, w := k.new(), resource.Write{Warnings: &api.Warnings{}, Options: resource.WriteOptions{Validation: v}}
	err := resource.Patched(media, patch, k.kind, current, o, w, whole)
	var e *api.Error
	if errors.As(err, &e) {
		return nil, &e.Status, w.Warnings.List()
	}
	if err != nil {
		return nil, &metav1.Status{Message: err.Error()}, nil
	}
	return o, nil, w.Warnings.List()
}
