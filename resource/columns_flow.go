package resource

import (
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

func flowSchemaColumns() *columns {
	c := rowsOf(func(s *flowcontrolv1.FlowSchema) []any {
		method, dangling := none, "?"
		if m := s.Spec.DistinguisherMethod; m != nil {
			method = string(m.Type)
		}
		if i := slices.IndexFunc(s.Status.Conditions, func(c flowcontrolv1.FlowSchemaCondition) bool {
			return c.Type == flowcontrolv1.FlowSchemaConditionDangling
		}); i >= 0 {
			dangling = string(s.Status.Conditions[i].Status)
		}
		return []any{s.Name, s.Spec.PriorityLevelConfiguration.Name, s.Spec.MatchingPrecedence, method, ageOf(s), dangling}
	},
		nameColumn(),
		textColumn("PriorityLevel", documented(flowcontrolv1.PriorityLevelConfigurationReference{}, "name")),
		textColumn("MatchingPrecedence", documented(flowcontrolv1.FlowSchemaSpec{}, "matchingPrecedence")),
		textColumn("DistinguisherMethod", documented(flowcontrolv1.FlowSchemaSpec{}, "distinguisherMethod")),
		ageColumn(),
		textColumn("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
	)
	c.Order = func(o Object) int32 { return o.(*flowcontrolv1.FlowSchema).Spec.MatchingPrecedence }
	return c
}

func priorityLevelColumns() *columns {
	queuing := func(name string) string { return documented(flowcontrolv1.QueuingConfiguration{}, name) }
	return rowsOf(func(p *flowcontrolv1.PriorityLevelConfiguration) []any {
		shares, queues, hand, limit := any(none), any(none), any(none), any(none)
		if l := p.Spec.Limited; l != nil {
			shares = orElse(l.NominalConcurrencyShares, 0)
			if q := l.LimitResponse.Queuing; q != nil {
				queues, hand, limit = q.Queues, q.HandSize, q.QueueLengthLimit
			}
		}
		return []any{p.Name, string(p.Spec.Type), shares, queues, hand, limit, ageOf(p)}
	},
		nameColumn(),
		textColumn("Type", documented(flowcontrolv1.PriorityLevelConfigurationSpec{}, "type")),
		textColumn("NominalConcurrencyShares", documented(flowcontrolv1.LimitedPriorityLevelConfiguration{}, "nominalConcurrencyShares")),
		textColumn("Queues", queuing("queues")),
		textColumn("HandSize", queuing("handSize")),
		textColumn("QueueLengthLimit", queuing("queueLengthLimit")),
		ageColumn(),
	)
}
