package soak_test

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// kind is what the soak writes and follows.
type kind struct {
	resource   schema.GroupVersionResource
	namespaced bool
	body       string // YAML of an object without a name
}

// object returns an object of the kind.
func (k kind) object(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(k.body), &o.Object); err != nil {
		panic(err) // The bodies are below.
	}
	o.SetName(name)
	return o
}

func kinds() []kind {
	template := "{metadata: {labels: {app: soak}}, spec: {containers: [{name: c, image: registry.example/c:1}]}}"
	in := func(group, version, resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
	}
	return []kind{
		{in("", "v1", "configmaps"), true, "{apiVersion: v1, kind: ConfigMap, data: {key: value}}"},
		{in("", "v1", "secrets"), true, "{apiVersion: v1, kind: Secret, stringData: {key: value}}"},
		{in("", "v1", "services"), true, "{apiVersion: v1, kind: Service, spec: {clusterIP: None, selector: {app: soak}, ports: [{port: 80}]}}"},
		{in("", "v1", "pods"), true, "{apiVersion: v1, kind: Pod, metadata: {labels: {app: soak}}, spec: {containers: [{name: c, image: registry.example/c:1}]}}"},
		{in("apps", "v1", "deployments"), true, "{apiVersion: apps/v1, kind: Deployment, spec: {selector: {matchLabels: {app: soak}}, template: " + template + "}}"},
		{in("apps", "v1", "replicasets"), true, "{apiVersion: apps/v1, kind: ReplicaSet, spec: {selector: {matchLabels: {app: soak}}, template: " + template + "}}"},
		{in("batch", "v1", "cronjobs"), true, "{apiVersion: batch/v1, kind: CronJob, spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: registry.example/c:1}]}}}}}}"},
		{in("coordination.k8s.io", "v1", "leases"), true, "{apiVersion: coordination.k8s.io/v1, kind: Lease, spec: {holderIdentity: soak}}"},
		{in("networking.k8s.io", "v1", "networkpolicies"), true, "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {podSelector: {}, policyTypes: [Ingress]}}"},
		{in("rbac.authorization.k8s.io", "v1", "clusterroles"), false, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}"},
	}
}
