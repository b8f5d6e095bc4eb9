package main

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The flow schemas and priority levels of a new cluster, as Kubernetes 1.36 has them.

// flowLevels are the priority levels, and whether each is kept as it is by force. exempt and catch-all are: what no schema matches, and
// what must never wait, need a level.
func flowLevels() (suggested, mandatory []*flowcontrolv1.PriorityLevelConfiguration) {
	exempt := flowLevel(flowcontrolv1.PriorityLevelConfigurationNameExempt, flowcontrolv1.PriorityLevelConfigurationSpec{
		Type:   flowcontrolv1.PriorityLevelEnablementExempt,
		Exempt: &flowcontrolv1.ExemptPriorityLevelConfiguration{NominalConcurrencyShares: ptr[int32](0), LendablePercent: ptr[int32](0)},
	})
	mandatory = append(mandatory, exempt, limitedLevel(flowcontrolv1.PriorityLevelConfigurationNameCatchAll, 5, 0, 0, 0))
	for _, l := range []struct {
		name                           string
		shares, lendable, queues, hand int32
	}{
		{"system", 30, 33, 64, 6},
		{"node-high", 40, 25, 64, 6},
		{"leader-election", 10, 0, 16, 4},
		{"workload-high", 40, 50, 128, 6},
		{"workload-low", 100, 90, 128, 6},
		{"global-default", 20, 50, 128, 6},
	} {
		suggested = append(suggested, limitedLevel(l.name, l.shares, l.lendable, l.queues, l.hand))
	}
	return suggested, mandatory
}

// flowQueueLength is how many requests may wait in a queue of the default levels.
const flowQueueLength = 50

// limitedLevel has a share of the server; without queues it rejects what is over that.
func limitedLevel(name string, shares, lendable, queues, hand int32) *flowcontrolv1.PriorityLevelConfiguration {
	response := flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject}
	if queues > 0 {
		response = flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeQueue, Queuing: &flowcontrolv1.QueuingConfiguration{
			Queues: queues, HandSize: hand, QueueLengthLimit: flowQueueLength,
		}}
	}
	return flowLevel(name, flowcontrolv1.PriorityLevelConfigurationSpec{
		Type: flowcontrolv1.PriorityLevelEnablementLimited,
		Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
			NominalConcurrencyShares: &shares, LendablePercent: &lendable, LimitResponse: response,
		},
	})
}

func flowLevel(name string, spec flowcontrolv1.PriorityLevelConfigurationSpec) *flowcontrolv1.PriorityLevelConfiguration {
	return &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: flowMeta(name), Spec: spec}
}

func flowMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Annotations: map[string]string{flowcontrolv1.AutoUpdateAnnotationKey: "true"}}
}

// Names that the schemas of a new cluster match.
const (
	groupMasters           = "system:masters"
	groupNodes             = "system:nodes"
	groupAllAuthenticated  = "system:authenticated"
	groupAllAnonymous      = "system:unauthenticated"
	groupAllServiceAccount = "system:serviceaccounts"
	userManager            = "system:kube-controller-manager"
	userScheduler          = "system:kube-scheduler"
)

// flowSchemas are the schemas, by who asks and for what.
func flowSchemas() (suggested, mandatory []*flowcontrolv1.FlowSchema) {
	everybody := groupSubjects(groupAllAnonymous, groupAllAuthenticated)
	nodes := groupSubjects(groupNodes)
	systemAccounts := []flowcontrolv1.Subject{{
		Kind:           flowcontrolv1.SubjectKindServiceAccount,
		ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Namespace: metav1.NamespaceSystem, Name: flowcontrolv1.NameAll},
	}}
	leases := func(verbs ...string) flowcontrolv1.ResourcePolicyRule {
		return flowRule(verbs, "coordination.k8s.io", false, "leases")
	}
	const byUser, byNamespace = flowcontrolv1.FlowDistinguisherMethodByUserType, flowcontrolv1.FlowDistinguisherMethodByNamespaceType
	probes := flowcontrolv1.PolicyRulesWithSubjects{Subjects: everybody, NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{
		{Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz", "/readyz", "/livez"}},
	}}
	election := flowcontrolv1.PolicyRulesWithSubjects{
		Subjects:      append(userSubjects(userManager, userScheduler), systemAccounts...),
		ResourceRules: []flowcontrolv1.ResourcePolicyRule{leases("get", "create", "update")},
	}
	nodeHealth := flowcontrolv1.PolicyRulesWithSubjects{Subjects: nodes, ResourceRules: []flowcontrolv1.ResourcePolicyRule{
		flowRule([]string{flowcontrolv1.VerbAll}, "", true, "nodes", "nodes/status"), leases(flowcontrolv1.VerbAll),
	}}
	mandatory = []*flowcontrolv1.FlowSchema{
		flowSchema("exempt", "exempt", 1, "", flowEverything(groupSubjects(groupMasters))),
		flowSchema("catch-all", "catch-all", 10000, byUser, flowEverything(everybody)),
	}
	suggested = []*flowcontrolv1.FlowSchema{
		flowSchema("probes", "exempt", 2, "", probes),
		flowSchema("system-leader-election", "leader-election", 100, byUser, election),
		flowSchema("system-node-high", "node-high", 400, byUser, nodeHealth),
		flowSchema("system-nodes", "system", 500, byUser, flowEverything(nodes)),
		flowSchema("kube-controller-manager", "workload-high", 800, byNamespace, flowEverything(userSubjects(userManager))),
		flowSchema("kube-scheduler", "workload-high", 800, byNamespace, flowEverything(userSubjects(userScheduler))),
		flowSchema("kube-system-service-accounts", "workload-high", 900, byNamespace, flowEverything(systemAccounts)),
		flowSchema("service-accounts", "workload-low", 9000, byUser, flowEverything(groupSubjects(groupAllServiceAccount))),
		flowSchema("global-default", "global-default", 9900, byUser, flowEverything(everybody)),
	}
	return suggested, mandatory
}

func flowSchema(name, level string, precedence int32, by flowcontrolv1.FlowDistinguisherMethodType, rules flowcontrolv1.PolicyRulesWithSubjects) *flowcontrolv1.FlowSchema {
	s := &flowcontrolv1.FlowSchema{ObjectMeta: flowMeta(name), Spec: flowcontrolv1.FlowSchemaSpec{
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: level},
		MatchingPrecedence:         precedence,
		Rules:                      []flowcontrolv1.PolicyRulesWithSubjects{rules},
	}}
	if by != "" {
		s.Spec.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: by}
	}
	return s
}

// flowEverything matches whatever the subjects ask for.
func flowEverything(subjects []flowcontrolv1.Subject) flowcontrolv1.PolicyRulesWithSubjects {
	return flowcontrolv1.PolicyRulesWithSubjects{
		Subjects:      subjects,
		ResourceRules: []flowcontrolv1.ResourcePolicyRule{flowRule([]string{flowcontrolv1.VerbAll}, flowcontrolv1.APIGroupAll, true, flowcontrolv1.ResourceAll)},
		NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{
			{Verbs: []string{flowcontrolv1.VerbAll}, NonResourceURLs: []string{flowcontrolv1.NonResourceAll}},
		},
	}
}

func flowRule(verbs []string, group string, clusterScope bool, resources ...string) flowcontrolv1.ResourcePolicyRule {
	return flowcontrolv1.ResourcePolicyRule{
		Verbs: verbs, APIGroups: []string{group}, Resources: resources, ClusterScope: clusterScope,
		Namespaces: []string{flowcontrolv1.NamespaceEvery},
	}
}

func groupSubjects(names ...string) (list []flowcontrolv1.Subject) {
	for _, name := range names {
		list = append(list, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: name}})
	}
	return list
}

func userSubjects(names ...string) (list []flowcontrolv1.Subject) {
	for _, name := range names {
		list = append(list, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: name}})
	}
	return list
}

func ptr[T any](v T) *T { return &v }
