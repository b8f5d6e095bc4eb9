//lint:file-ignore SA1019 Endpoints and ComponentStatus are deprecated for clients; a server has to serve them.

package resource

import (
	"strconv"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/kinds/cluster"
	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/kinds/network"
	"github.com/gatehouse/gatehouse/kinds/storage"
	"github.com/gatehouse/gatehouse/kinds/workload"
)

var (
	inAll        = []string{"all"}
	createOnly   = []string{"create"}
	connectVerbs = []string{"create", "get"} // of what needs another protocol
	proxyVerbs   = []string{"create", "delete", "get", "patch", "update"}
)

func coreSub(name, kind string, verbs []string) Subresource {
	return Subresource{Name: name, Verbs: verbs, Kind: schema.GroupVersionKind{Version: "v1", Kind: kind}}
}

func coreTypes() []*Type {
	return inGroup("", "v1",
		kind[corev1.Binding](Type{Resource: "bindings", Namespaced: true, Verbs: createOnly}),
		kind[corev1.ComponentStatus](Type{
			Deprecated: "v1 ComponentStatus is deprecated in v1.19+",
			Resource:   "componentstatuses", ShortNames: []string{"cs"}, Verbs: []string{"get", "list"},
		}),
		kind[corev1.ConfigMap](Type{
			Resource: "configmaps", Prefix: "configmaps", Namespaced: true, ShortNames: []string{"cm"}, Rules: cluster.ConfigMap(),
		}),
		kind[corev1.Endpoints](Type{
			Rules:      network.Endpoints(),
			Deprecated: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
			Resource:   "endpoints", Prefix: "services/endpoints", Namespaced: true, ShortNames: []string{"ep"}, CreateOnUpdate: true,
		}),
		kind[corev1.Event](Type{
			Resource: "events", Prefix: "events", Namespaced: true, ShortNames: []string{"ev"}, CreateOnUpdate: true, Rules: cluster.Event(),
			FieldNames: []string{
				"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
				"involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
				"reason", "reportingComponent", "source", "type",
			},
			Fields: selectable(eventFields),
		}),
		kind[corev1.LimitRange](Type{
			Resource: "limitranges", Prefix: "limitranges", Namespaced: true, ShortNames: []string{"limits"}, CreateOnUpdate: true, NamesItself: true,
			Rules: cluster.LimitRange(),
		}),
		kind[corev1.Namespace](Type{
			Resource: "namespaces", Prefix: "namespaces", ShortNames: []string{"ns"}, ValidName: validation.ValidateNamespaceName,
			Verbs:        []string{"create", "delete", "get", "list", "patch", "update", "watch"},
			Subresources: []Subresource{{Name: "finalize", Verbs: []string{"update"}}, status},
			Rules:        cluster.Namespace(),
			FieldNames:   []string{"status.phase"},
			Fields: selectable(func(n *corev1.Namespace) map[string]string {
				return map[string]string{"status.phase": string(n.Status.Phase)}
			}),
		}),
		kind[corev1.Node](Type{
			Resource: "nodes", Prefix: "minions", ShortNames: []string{"no"}, CreatesStatus: true, // a kubelet registers with it
			Subresources: []Subresource{coreSub("proxy", "NodeProxyOptions", proxyVerbs), status}, Rules: cluster.Node(),
			FieldNames: []string{"spec.unschedulable"},
			Fields: selectable(func(n *corev1.Node) map[string]string {
				return map[string]string{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
			}),
		}),
		kind[corev1.PersistentVolumeClaim](Type{
			Resource: "persistentvolumeclaims", ReturnsDeleted: true, Prefix: "persistentvolumeclaims", Namespaced: true, ShortNames: []string{"pvc"},
			Rules:        storage.PersistentVolumeClaim(),
			Subresources: []Subresource{status},
		}),
		kind[corev1.PersistentVolume](Type{
			Resource: "persistentvolumes", ReturnsDeleted: true, Prefix: "persistentvolumes", ShortNames: []string{"pv"},
			Rules:        storage.PersistentVolume(),
			Subresources: []Subresource{status},
		}),
		podType(),
		kind[corev1.PodTemplate](Type{Resource: "podtemplates", ReturnsDeleted: true, Prefix: "podtemplates", Namespaced: true, HasGeneration: true, Rules: workload.PodTemplate()}),
		kind[corev1.ReplicationController](Type{
			Resource: "replicationcontrollers", OrphansByDefault: true, Prefix: "controllers", Namespaced: true, ShortNames: []string{"rc"}, Categories: inAll,
			Subresources: []Subresource{scale, status}, HasGeneration: true, ValidName: longName, Rules: workload.ReplicationController(),
			FieldNames: []string{"status.replicas"},
			Fields: selectable(func(rc *corev1.ReplicationController) map[string]string {
				return map[string]string{"status.replicas": strconv.Itoa(int(rc.Status.Replicas))}
			}),
		}),
		kind[corev1.ResourceQuota](Type{
			Resource: "resourcequotas", ReturnsDeleted: true, Prefix: "resourcequotas", Namespaced: true, ShortNames: []string{"quota"},
			Subresources: []Subresource{status}, Rules: cluster.ResourceQuota(),
		}),
		kind[corev1.Secret](Type{
			Resource: "secrets", Prefix: "secrets", Namespaced: true, FieldNames: []string{"type"}, Rules: cluster.Secret(),
			Fields: selectable(func(s *corev1.Secret) map[string]string { return map[string]string{"type": string(s.Type)} }),
		}),
		kind[corev1.ServiceAccount](Type{
			Resource: "serviceaccounts", ReturnsDeleted: true, Prefix: "serviceaccounts", Namespaced: true, ShortNames: []string{"sa"}, Rules: cluster.ServiceAccount(),
			Subresources: []Subresource{{
				Name: "token", Verbs: createOnly, Kind: authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"),
			}},
		}),
		kind[corev1.Service](Type{
			Rules:    network.Service(),
			Resource: "services", ReturnsDeleted: true, Prefix: "services/specs", Namespaced: true, ShortNames: []string{"svc"}, Categories: inAll,
			Verbs: allVerbs, ValidName: validation.NameIsDNSLabel, CreateOnUpdate: true,
			Subresources: []Subresource{coreSub("proxy", "ServiceProxyOptions", proxyVerbs), status}, onUpdate: updateService,
			FieldNames: []string{"spec.clusterIP", "spec.type"},
			Fields: selectable(func(s *corev1.Service) map[string]string {
				return map[string]string{"spec.clusterIP": s.Spec.ClusterIP, "spec.type": string(s.Spec.Type)}
			}),
		}),
	)
}

func podType() *Type {
	return kind[corev1.Pod](Type{
		Resource: "pods", ReturnsDeleted: true, Prefix: "pods", Namespaced: true, ShortNames: []string{"po"}, Categories: inAll, HasGeneration: true,
		Subresources: []Subresource{
			coreSub("attach", "PodAttachOptions", connectVerbs),
			coreSub("binding", "Binding", createOnly),
			{Name: "ephemeralcontainers", Verbs: statusVerbs},
			{Name: "eviction", Verbs: createOnly, Kind: policyv1.SchemeGroupVersion.WithKind("Eviction")},
			coreSub("exec", "PodExecOptions", connectVerbs),
			{Name: "log", Verbs: []string{"get"}},
			coreSub("portforward", "PodPortForwardOptions", connectVerbs),
			coreSub("proxy", "PodProxyOptions", proxyVerbs),
			{Name: "resize", Verbs: statusVerbs},
			status,
		},
		Rules: core.Pod(), CreatesStatus: true, // so far as the rules let it
		FieldNames: []string{
			"spec.nodeName", "spec.host", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
			"status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
		},
		Fields: selectable(podFields),
	})
}

func podFields(p *corev1.Pod) map[string]string {
	ip := p.Status.PodIP
	if ip == "" && len(p.Status.PodIPs) > 0 {
		ip = p.Status.PodIPs[0].IP
	}
	return map[string]string{
		"spec.nodeName":            p.Spec.NodeName,
		"spec.host":                p.Spec.NodeName,
		"spec.restartPolicy":       string(p.Spec.RestartPolicy),
		"spec.schedulerName":       p.Spec.SchedulerName,
		"spec.serviceAccountName":  p.Spec.ServiceAccountName,
		"spec.hostNetwork":         strconv.FormatBool(p.Spec.HostNetwork),
		"status.phase":             string(p.Status.Phase),
		"status.podIP":             ip,
		"status.podIPs":            ip,
		"status.nominatedNodeName": p.Status.NominatedNodeName,
	}
}

func eventFields(e *corev1.Event) map[string]string {
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return map[string]string{
		"involvedObject.kind":            e.InvolvedObject.Kind,
		"involvedObject.namespace":       e.InvolvedObject.Namespace,
		"involvedObject.name":            e.InvolvedObject.Name,
		"involvedObject.uid":             string(e.InvolvedObject.UID),
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         source,
		"type":                           e.Type,
	}
}
