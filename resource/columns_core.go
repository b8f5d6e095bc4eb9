package resource

//lint:file-ignore SA1019 Endpoints are deprecated and served all the same.

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func coreColumns(resource string) *columns {
	switch resource {
	case "componentstatuses":
		return componentColumns()
	case "pods":
		return podColumns()
	case "events":
		return eventColumns()
	case "services":
		return serviceColumns()
	case "nodes":
		return nodeColumns()
	case "persistentvolumes":
		return volumeColumns()
	case "persistentvolumeclaims":
		return claimColumns()
	case "replicationcontrollers":
		return controllerColumns()
	case "podtemplates":
		return podTemplateColumns()
	case "resourcequotas":
		return quotaColumns()
	case "serviceaccounts":
		return ageColumns()
	case "namespaces":
		return rowsOf(func(n *corev1.Namespace) []any {
			return []any{n.Name, string(n.Status.Phase), ageOf(n)}
		}, nameColumn(), textColumn("Status", "The status of the namespace"), ageColumn())
	case "configmaps":
		return rowsOf(func(c *corev1.ConfigMap) []any {
			return []any{c.Name, len(c.Data) + len(c.BinaryData), ageOf(c)}
		}, nameColumn(), textColumn("Data", documented(corev1.ConfigMap{}, "data")), ageColumn())
	case "secrets":
		return rowsOf(func(s *corev1.Secret) []any {
			return []any{s.Name, string(s.Type), len(s.Data), ageOf(s)}
		}, nameColumn(), textColumn("Type", documented(corev1.Secret{}, "type")), textColumn("Data", documented(corev1.Secret{}, "data")), ageColumn())
	case "endpoints":
		return rowsOf(func(e *corev1.Endpoints) []any {
			return []any{e.Name, endpointAddresses(e), ageOf(e)}
		}, nameColumn(), textColumn("Endpoints", documented(corev1.Endpoints{}, "subsets")), ageColumn())
	default:
		return nil
	}
}

// maxListed is how many addresses or ports a cell spells out.
const maxListed = 3

// firstOf joins the first few texts and says how many there are beyond them.
func firstOf(list []string, limit int, separator string) string {
	if len(list) <= limit {
		return strings.Join(list, separator)
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(list[:limit], separator), len(list)-limit)
}

func endpointAddresses(e *corev1.Endpoints) string {
	if len(e.Subsets) == 0 {
		return none
	}
	var list []string
	for _, s := range e.Subsets {
		if len(s.Ports) == 0 {
			for _, a := range s.Addresses {
				list = append(list, a.IP)
			}
		}
		for _, p := range s.Ports {
			for _, a := range s.Addresses {
				list = append(list, net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
			}
		}
	}
	return firstOf(list, maxListed, ",")
}

func serviceColumns() *columns {
	definitions := append([]Column{
		nameColumn(),
		textColumn("Type", documented(corev1.ServiceSpec{}, "type")),
		textColumn("Cluster-IP", documented(corev1.ServiceSpec{}, "clusterIP")),
		textColumn("External-IP", documented(corev1.ServiceSpec{}, "externalIPs")),
		textColumn("Port(s)", documented(corev1.ServiceSpec{}, "ports")),
		ageColumn(),
	}, wideColumns(textColumn("Selector", documented(corev1.ServiceSpec{}, "selector")))...)
	return rowsOf(func(s *corev1.Service) []any {
		clusterIP := none
		if len(s.Spec.ClusterIPs) > 0 {
			clusterIP = s.Spec.ClusterIPs[0]
		}
		return []any{
			s.Name, string(s.Spec.Type), clusterIP, externalAddress(s), orText(servicePorts(s.Spec.Ports), none), ageOf(s),
			labels.FormatLabels(s.Spec.Selector),
		}
	}, definitions...)
}

// externalAddress is where a service is reached from outside.
func externalAddress(s *corev1.Service) string {
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return orText(strings.Join(s.Spec.ExternalIPs, ","), none)
	case corev1.ServiceTypeLoadBalancer:
		var given []string
		for _, in := range s.Status.LoadBalancer.Ingress {
			given = append(given, orText(in.IP, in.Hostname))
		}
		return orText(strings.Join(append(distinct(given), s.Spec.ExternalIPs...), ","), "<pending>")
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	default:
		return unknown
	}
}

// distinct sorts the texts and drops empty and repeated ones.
func distinct(list []string) []string {
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(s string) bool { return s == "" })
}

func servicePorts(ports []corev1.ServicePort) string {
	list := make([]string, len(ports))
	for i, p := range ports {
		if p.NodePort > 0 {
			list[i] = fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, p.Protocol)
		} else {
			list[i] = fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		}
	}
	return strings.Join(list, ",")
}

func controllerColumns() *columns {
	definitions := slices.Concat([]Column{
		nameColumn(),
		numberColumn("Desired", documented(corev1.ReplicationControllerSpec{}, "replicas")),
		numberColumn("Current", documented(corev1.ReplicationControllerStatus{}, "replicas")),
		numberColumn("Ready", documented(corev1.ReplicationControllerStatus{}, "readyReplicas")),
		ageColumn(),
	}, containerColumns(), wideColumns(textColumn("Selector", documented(corev1.ReplicationControllerSpec{}, "selector"))))
	return rowsOf(func(rc *corev1.ReplicationController) []any {
		var names, images string
		if t := rc.Spec.Template; t != nil {
			names, images = containerCells(t.Spec.Containers)
		}
		return []any{
			rc.Name, orElse(rc.Spec.Replicas, 0), rc.Status.Replicas, rc.Status.ReadyReplicas, ageOf(rc),
			names, images, labels.FormatLabels(rc.Spec.Selector),
		}
	}, definitions...)
}

func podTemplateColumns() *columns {
	definitions := containerColumns()
	for i := range definitions {
		definitions[i].Priority = 0
	}
	return rowsOf(func(t *corev1.PodTemplate) []any {
		names, images := containerCells(t.Template.Spec.Containers)
		return []any{t.Name, names, images, labels.FormatLabels(t.Template.Labels)}
	}, append([]Column{nameColumn()}, append(definitions, textColumn("Pod Labels", "The labels for the pod template."))...)...)
}

func quotaColumns() *columns {
	return rowsOf(func(q *corev1.ResourceQuota) []any {
		var requests, limits []string
		for _, name := range slices.Sorted(maps.Keys(q.Status.Hard)) {
			used, hard := q.Status.Used[name], q.Status.Hard[name]
			cell := fmt.Sprintf("%s: %s/%s", name, used.String(), hard.String())
			if strings.HasPrefix(string(name), "limits.") {
				limits = append(limits, cell)
			} else {
				requests = append(requests, cell)
			}
		}
		return []any{q.Name, strings.Join(requests, ", "), strings.Join(limits, ", "), ageOf(q)}
	},
		nameColumn(),
		textColumn("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
		textColumn("Limit", "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."),
		ageColumn(),
	)
}

// componentColumns show the condition "Healthy" of a component.
func componentColumns() *columns {
	return rowsOf(func(s *corev1.ComponentStatus) []any {
		status, message, fault := "Unknown", "", ""
		for _, c := range s.Conditions {
			if c.Type != corev1.ComponentHealthy {
				continue
			}
			status = "Unhealthy"
			if c.Status == corev1.ConditionTrue {
				status = "Healthy"
			}
			message, fault = c.Message, c.Error
		}
		return []any{s.Name, status, message, fault}
	}, nameColumn(),
		textColumn("Status", "Status of the component conditions"),
		textColumn("Message", "Message of the component conditions"),
		textColumn("Error", "Error of the component conditions"))
}
