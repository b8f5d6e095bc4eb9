package rules_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/rules"
)

// The wanted form is the one that kube-apiserver answers in; names and order of fields are those of its own types.
func TestShown(t *testing.T) {
	name, none := "pv", (*corev1.NodeAffinity)(nil)
	for _, tc := range []struct {
		name string
		v    any
		want string
	}{
		{"numbers and texts are what they are", "a", `"a"`},
		{"nothing", none, `null`},
		{"Go names, and nothing left out", storagev1.VolumeAttachmentSpec{Attacher: "a", NodeName: "n", Source: storagev1.VolumeAttachmentSource{
			PersistentVolumeName: &name,
		}}, `{"Attacher":"a","Source":{"PersistentVolumeName":"pv","InlineVolumeSpec":null},"NodeName":"n"}`},
		{"what marshals itself and metadata keep their names", resourcev1.ResourceClaimTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}},
		}, `{"labels":{"a":"b"},"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}`},
		{"maps are in order", corev1.ResourceList{"b": resource.MustParse("1"), "a": resource.MustParse("1Ki")}, `{"a":"1Ki","b":"1"}`},
		{
			"lists of structs",
			[]corev1.NodeSelectorRequirement{{Key: "a", Operator: "In", Values: []string{"b"}}},
			`[{"Key":"a","Operator":"In","Values":["b"]}]`,
		},
		{
			"what is shared with the host is said in the security context",
			corev1.PodSpec{HostPID: true},
			`{"Volumes":null,"InitContainers":null,"Containers":null,"EphemeralContainers":null,"RestartPolicy":"",` +
				`"TerminationGracePeriodSeconds":null,"ActiveDeadlineSeconds":null,"DNSPolicy":"","NodeSelector":null,"ServiceAccountName":"",` +
				`"AutomountServiceAccountToken":null,"NodeName":"","SecurityContext":{"HostNetwork":false,"HostPID":true,"HostIPC":false,` +
				`"ShareProcessNamespace":null,"HostUsers":null,"SELinuxOptions":null,"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,` +
				`"RunAsNonRoot":null,"SupplementalGroups":null,"SupplementalGroupsPolicy":null,"FSGroup":null,"FSGroupChangePolicy":null,` +
				`"Sysctls":null,"SeccompProfile":null,"AppArmorProfile":null,"SELinuxChangePolicy":null},"ImagePullSecrets":null,"Hostname":"",` +
				`"Subdomain":"","SetHostnameAsFQDN":null,"Affinity":null,"SchedulerName":"","Tolerations":null,"HostAliases":null,` +
				`"PriorityClassName":"","Priority":null,"PreemptionPolicy":null,"DNSConfig":null,"ReadinessGates":null,"RuntimeClassName":null,` +
				`"Overhead":null,"EnableServiceLinks":null,"TopologySpreadConstraints":null,"OS":null,"SchedulingGates":null,` +
				`"ResourceClaims":null,"Resources":null,"HostnameOverride":null,"SchedulingGroup":null}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, err := json.Marshal(rules.Shown(tc.v))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	got := rules.Diff(corev1.TopologySelectorLabelRequirement{Key: "a"}, corev1.TopologySelectorLabelRequirement{Key: "b"})
	if diff := cmp.Diff("@@ -1,4 +1,4 @@\n {\n- \"Key\": \"a\",\n+ \"Key\": \"b\",\n  \"Values\": null\n }\n", got); diff != "" {
		t.Error(diff)
	}
}
