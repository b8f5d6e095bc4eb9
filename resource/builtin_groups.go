package resource

import (
	"maps"
	"strconv"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/validation"

	"github.com/gatehouse/gatehouse/kinds/cluster"
	"github.com/gatehouse/gatehouse/kinds/extension"
	"github.com/gatehouse/gatehouse/kinds/network"
	"github.com/gatehouse/gatehouse/kinds/storage"
	"github.com/gatehouse/gatehouse/kinds/workload"
	"github.com/gatehouse/gatehouse/rules"
)

var (
	withStatus      = []Subresource{status}
	withScaleStatus = []Subresource{scale, status}
	inExtensions    = []string{"api-extensions"}
)

func appsTypes() []*Type {
	return inGroup("apps", "v1",
		kind[appsv1.ControllerRevision](Type{
			Resource: "controllerrevisions", Prefix: "controllerrevisions", Namespaced: true, Rules: workload.ControllerRevision(),
		}),
		kind[appsv1.DaemonSet](Type{
			Resource: "daemonsets", Prefix: "daemonsets", Namespaced: true, ShortNames: []string{"ds"}, Categories: inAll,
			Subresources: withStatus, HasGeneration: true, Rules: workload.DaemonSet(),
			onBookmark: func(o Object) {
				annotations := maps.Clone(o.GetAnnotations())
				if annotations == nil {
					annotations = make(map[string]string, 1)
				}
				annotations[appsv1.DeprecatedTemplateGeneration] = "0"
				o.SetAnnotations(annotations)
			},
		}),
		kind[appsv1.Deployment](Type{
			Resource: "deployments", Prefix: "deployments", Namespaced: true, ShortNames: []string{"deploy"}, Categories: inAll,
			Subresources: withScaleStatus, HasGeneration: true, Rules: workload.Deployment(),
			onBookmark: func(o Object) { o.(*appsv1.Deployment).Spec.Replicas = new(int32) },
		}),
		kind[appsv1.ReplicaSet](Type{
			Resource: "replicasets", Prefix: "replicasets", Namespaced: true, ShortNames: []string{"rs"}, Categories: inAll,
			Subresources: withScaleStatus, HasGeneration: true, Rules: workload.ReplicaSet(),
			onBookmark: func(o Object) { o.(*appsv1.ReplicaSet).Spec.Replicas = new(int32) },
		}),
		kind[appsv1.StatefulSet](Type{
			Resource: "statefulsets", Prefix: "statefulsets", Namespaced: true, ShortNames: []string{"sts"}, Categories: inAll,
			Subresources: withScaleStatus, HasGeneration: true, ValidName: validation.NameIsDNSLabel, Rules: workload.StatefulSet(),
			onRead:     func(o Object) { workload.NameClaims(o.(*appsv1.StatefulSet)) },
			onBookmark: func(o Object) { o.(*appsv1.StatefulSet).Spec.Replicas = new(int32) },
		}),
	)
}

func eventsTypes() []*Type {
	return inGroup("events.k8s.io", "v1",
		kind[eventsv1.Event](Type{
			Resource: "events", Prefix: "events", Namespaced: true, ShortNames: []string{"ev"}, CreateOnUpdate: true, Rules: cluster.NewEvent(),
			StoredAs: &Conversion{Version: "v1", ToStored: eventToCore, FromStored: eventFromCore},
			FieldNames: []string{
				"regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "regarding.apiVersion",
				"regarding.resourceVersion", "regarding.fieldPath", "reason", "reportingController", "type",
			},
			Fields: selectable(func(e *eventsv1.Event) map[string]string {
				return map[string]string{
					"regarding.kind": e.Regarding.Kind, "regarding.namespace": e.Regarding.Namespace, "regarding.name": e.Regarding.Name,
					"regarding.uid": string(e.Regarding.UID), "regarding.apiVersion": e.Regarding.APIVersion,
					"regarding.resourceVersion": e.Regarding.ResourceVersion, "regarding.fieldPath": e.Regarding.FieldPath,
					"reason": e.Reason, "reportingController": e.ReportingController, "type": e.Type,
				}
			}),
		}),
	)
}

func authenticationTypes() []*Type {
	return inGroup("authentication.k8s.io", "v1",
		kind[authenticationv1.SelfSubjectReview](Type{Resource: "selfsubjectreviews", Verbs: createOnly}),
		kind[authenticationv1.TokenReview](Type{Resource: "tokenreviews", Verbs: createOnly}),
	)
}

func authorizationTypes() []*Type {
	return inGroup("authorization.k8s.io", "v1",
		kind[authorizationv1.LocalSubjectAccessReview](Type{Resource: "localsubjectaccessreviews", Namespaced: true, Verbs: createOnly}),
		kind[authorizationv1.SelfSubjectAccessReview](Type{Resource: "selfsubjectaccessreviews", Verbs: createOnly}),
		kind[authorizationv1.SelfSubjectRulesReview](Type{Resource: "selfsubjectrulesreviews", Verbs: createOnly}),
		kind[authorizationv1.SubjectAccessReview](Type{Resource: "subjectaccessreviews", Verbs: createOnly}),
	)
}

func autoscalingTypes() []*Type {
	hpa := Type{
		Resource: "horizontalpodautoscalers", Prefix: "horizontalpodautoscalers", Namespaced: true, ShortNames: []string{"hpa"},
		Categories: inAll, Subresources: withStatus,
	}
	v1 := hpa
	hpa.Rules, v1.Rules = workload.Autoscaler(), workload.AutoscalerV1()
	v1.StoredAs = &Conversion{Group: "autoscaling", Version: "v2", ToStored: hpaToV2, FromStored: hpaFromV2}
	return append(
		inGroup("autoscaling", "v2", kind[autoscalingv2.HorizontalPodAutoscaler](hpa)),
		inGroup("autoscaling", "v1", kind[autoscalingv1.HorizontalPodAutoscaler](v1))...,
	)
}

func batchTypes() []*Type {
	return inGroup("batch", "v1",
		kind[batchv1.CronJob](Type{
			Resource: "cronjobs", Prefix: "cronjobs", Namespaced: true, ShortNames: []string{"cj"}, Categories: inAll,
			Subresources: withStatus, HasGeneration: true, Rules: workload.CronJob(),
		}),
		kind[batchv1.Job](Type{
			Resource: "jobs", Prefix: "jobs", Namespaced: true, OrphansByDefault: true, Categories: inAll, Subresources: withStatus, HasGeneration: true,
			Rules: workload.Job(), FieldNames: []string{"status.successful"},
			Fields: selectable(func(j *batchv1.Job) map[string]string {
				return map[string]string{"status.successful": strconv.Itoa(int(j.Status.Succeeded))}
			}),
		}),
	)
}

func certificatesTypes() []*Type {
	return inGroup("certificates.k8s.io", "v1",
		kind[certificatesv1.CertificateSigningRequest](Type{
			Resource: "certificatesigningrequests", Prefix: "certificatesigningrequests", ShortNames: []string{"csr"},
			Subresources: []Subresource{{Name: "approval", Verbs: statusVerbs}, status},
			onCreate:     createCSR, stamp: stampCSR, Rules: cluster.CertificateSigningRequest(), ValidName: anyName,
			FieldNames: []string{"spec.signerName"},
			Fields: selectable(func(c *certificatesv1.CertificateSigningRequest) map[string]string {
				return map[string]string{"spec.signerName": c.Spec.SignerName}
			}),
		}),
	)
}

func networkingTypes() []*Type {
	return inGroup("networking.k8s.io", "v1",
		kind[networkingv1.IngressClass](Type{Rules: network.IngressClass(), Resource: "ingressclasses", Prefix: "ingressclasses", HasGeneration: true}),
		kind[networkingv1.Ingress](Type{
			Rules:    network.Ingress(),
			Resource: "ingresses", Prefix: "ingress", Namespaced: true, ShortNames: []string{"ing"}, Subresources: withStatus, HasGeneration: true,
		}),
		kind[networkingv1.IPAddress](Type{
			Rules:    network.IPAddress(),
			Resource: "ipaddresses", Prefix: "ipaddresses", ShortNames: []string{"ip"}, ValidName: network.IPAddressName,
		}),
		kind[networkingv1.NetworkPolicy](Type{
			Rules:    network.NetworkPolicy(),
			Resource: "networkpolicies", Prefix: "networkpolicies", Namespaced: true, ShortNames: []string{"netpol"}, HasGeneration: true,
		}),
		kind[networkingv1.ServiceCIDR](Type{
			Rules:    network.ServiceCIDR(),
			Resource: "servicecidrs", Prefix: "servicecidrs", Subresources: withStatus,
		}),
	)
}

func policyTypes() []*Type {
	return inGroup("policy", "v1",
		kind[policyv1.PodDisruptionBudget](Type{
			Resource: "poddisruptionbudgets", Prefix: "poddisruptionbudgets", Namespaced: true, ShortNames: []string{"pdb"},
			Subresources: withStatus, HasGeneration: true, NeedsRevision: true, Rules: workload.PodDisruptionBudget(),
			ValidName: anyName,
		}),
	)
}

func rbacTypes() []*Type {
	return inGroup("rbac.authorization.k8s.io", "v1",
		kind[rbacv1.ClusterRoleBinding](Type{Rules: cluster.ClusterRoleBinding(), Resource: "clusterrolebindings", Prefix: "clusterrolebindings", ValidName: pathName, CreateOnUpdate: true}),
		kind[rbacv1.ClusterRole](Type{Rules: cluster.ClusterRole(), Resource: "clusterroles", Prefix: "clusterroles", ValidName: pathName, CreateOnUpdate: true}),
		kind[rbacv1.RoleBinding](Type{Rules: cluster.RoleBinding(), Resource: "rolebindings", Prefix: "rolebindings", Namespaced: true, ValidName: pathName, CreateOnUpdate: true}),
		kind[rbacv1.Role](Type{Rules: cluster.Role(), Resource: "roles", Prefix: "roles", Namespaced: true, ValidName: pathName, CreateOnUpdate: true}),
	)
}

func storageTypes() []*Type {
	return inGroup("storage.k8s.io", "v1",
		kind[storagev1.CSIDriver](Type{Rules: storage.CSIDriver(), Resource: "csidrivers", ReturnsDeleted: true, Prefix: "csidrivers", NeedsRevision: true}),
		kind[storagev1.CSINode](Type{Rules: storage.CSINode(), Resource: "csinodes", ReturnsDeleted: true, Prefix: "csinodes", NeedsRevision: true}),
		kind[storagev1.CSIStorageCapacity](Type{
			Rules:    storage.CSIStorageCapacity(),
			Resource: "csistoragecapacities", Prefix: "csistoragecapacities", Namespaced: true, NeedsRevision: true,
		}),
		kind[storagev1.StorageClass](Type{Rules: storage.StorageClass(), Resource: "storageclasses", ReturnsDeleted: true, Prefix: "storageclasses", ShortNames: []string{"sc"}}),
		kind[storagev1.VolumeAttachment](Type{
			Rules:    storage.VolumeAttachment(),
			Resource: "volumeattachments", ReturnsDeleted: true, Prefix: "volumeattachments", Subresources: withStatus, NeedsRevision: true,
		}),
		kind[storagev1.VolumeAttributesClass](Type{
			Rules:    storage.VolumeAttributesClass(),
			Resource: "volumeattributesclasses", ReturnsDeleted: true, Prefix: "volumeattributesclasses", ShortNames: []string{"vac"},
		}),
	)
}

func admissionTypes() []*Type {
	t := func(resource string, subs []Subresource, kind *rules.Kind) Type {
		return Type{
			Rules: kind, Resource: resource, Prefix: resource, Categories: inExtensions, Subresources: subs, HasGeneration: true, NeedsRevision: true,
		}
	}
	return inGroup("admissionregistration.k8s.io", "v1",
		kind[admissionv1.MutatingAdmissionPolicy](storedBeta(t("mutatingadmissionpolicies", nil, extension.MutatingAdmissionPolicy()))),
		kind[admissionv1.MutatingAdmissionPolicyBinding](storedBeta(t("mutatingadmissionpolicybindings", nil, extension.MutatingAdmissionPolicyBinding()))),
		kind[admissionv1.MutatingWebhookConfiguration](t("mutatingwebhookconfigurations", nil, extension.MutatingWebhookConfiguration())),
		kind[admissionv1.ValidatingAdmissionPolicy](t("validatingadmissionpolicies", withStatus, extension.ValidatingAdmissionPolicy())),
		kind[admissionv1.ValidatingAdmissionPolicyBinding](t("validatingadmissionpolicybindings", nil, extension.ValidatingAdmissionPolicyBinding())),
		kind[admissionv1.ValidatingWebhookConfiguration](t("validatingwebhookconfigurations", nil, extension.ValidatingWebhookConfiguration())),
	)
}

// storedBeta marks the kinds that 1.36 serves as v1 and still stores under v1beta1, whose encoding is the same.
func storedBeta(t Type) Type {
	t.StoredVersion = "v1beta1"
	return t
}

func schedulingTypes() []*Type {
	return inGroup("scheduling.k8s.io", "v1",
		kind[schedulingv1.PriorityClass](Type{Rules: cluster.PriorityClass(), Resource: "priorityclasses", Prefix: "priorityclasses", ShortNames: []string{"pc"}}),
	)
}

func coordinationTypes() []*Type {
	return inGroup("coordination.k8s.io", "v1",
		kind[coordinationv1.Lease](Type{
			Rules:    cluster.Lease(),
			Resource: "leases", Prefix: "leases", Namespaced: true, CreateOnUpdate: true, NeedsRevision: true,
		}),
	)
}

func nodeTypes() []*Type {
	return inGroup("node.k8s.io", "v1",
		kind[nodev1.RuntimeClass](Type{Rules: cluster.RuntimeClass(), Resource: "runtimeclasses", Prefix: "runtimeclasses", CreateOnUpdate: true, NeedsRevision: true}),
	)
}

func discoveryTypes() []*Type {
	return inGroup("discovery.k8s.io", "v1",
		kind[discoveryv1.EndpointSlice](Type{
			Rules:    network.EndpointSlice(),
			Resource: "endpointslices", Prefix: "endpointslices", Namespaced: true, HasGeneration: true,
		}),
	)
}

const inertFlow = "this server has its own limits per client and does not act on API priority and fairness objects"

func flowcontrolTypes() []*Type {
	return inGroup("flowcontrol.apiserver.k8s.io", "v1",
		kind[flowcontrolv1.FlowSchema](Type{
			Inert:    inertFlow,
			Resource: "flowschemas", Prefix: "flowschemas", Subresources: withStatus, HasGeneration: true, Rules: cluster.FlowSchema(),
		}),
		kind[flowcontrolv1.PriorityLevelConfiguration](Type{
			Inert:    inertFlow,
			Resource: "prioritylevelconfigurations", Prefix: "prioritylevelconfigurations", Subresources: withStatus, HasGeneration: true,
			Rules: cluster.PriorityLevelConfiguration(),
		}),
	)
}

func resourceTypes() []*Type {
	return inGroup("resource.k8s.io", "v1",
		kind[resourcev1.DeviceClass](Type{
			Rules: storage.DeviceClass(), ValidName: storage.DeviceClassName,
			Resource: "deviceclasses", ReturnsDeleted: true, Prefix: "deviceclasses", HasGeneration: true,
		}),
		kind[resourcev1.ResourceClaim](Type{
			Rules:    storage.ResourceClaim(),
			Resource: "resourceclaims", ReturnsDeleted: true, Prefix: "resourceclaims", Namespaced: true, Subresources: withStatus, guard: guardClaim,
		}),
		kind[resourcev1.ResourceClaimTemplate](Type{
			Rules:    storage.ResourceClaimTemplate(),
			Resource: "resourceclaimtemplates", ReturnsDeleted: true, Prefix: "resourceclaimtemplates", Namespaced: true, guard: guardClaimTemplate,
		}),
		kind[resourcev1.ResourceSlice](Type{
			Rules:    storage.ResourceSlice(),
			Resource: "resourceslices", ReturnsDeleted: true, Prefix: "resourceslices", HasGeneration: true, FieldNames: []string{"spec.nodeName", "spec.driver"},
			Fields: selectable(func(s *resourcev1.ResourceSlice) map[string]string {
				node := ""
				if s.Spec.NodeName != nil {
					node = *s.Spec.NodeName
				}
				return map[string]string{"spec.nodeName": node, "spec.driver": s.Spec.Driver}
			}),
		}),
	)
}
