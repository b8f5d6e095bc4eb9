package cluster

import (
	"fmt"
	"math"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// PriorityLevelConfiguration are the rules of shares of the server's concurrency.
func PriorityLevelConfiguration() *rules.Kind {
	conditions := rules.At("status.conditions", rules.Check(func(c *rules.Checker, list, _ *[]flowcontrolv1.PriorityLevelConfigurationCondition) {
		checkConditionTypes(c, len(*list), func(i int) string { return string((*list)[i].Type) })
	}))
	return rules.For(rules.Spec[flowcontrolv1.PriorityLevelConfiguration]{
		Fields: []rules.Entry{
			rules.At("spec.exempt.nominalConcurrencyShares", rules.Default(0)),
			rules.At("spec.exempt.lendablePercent", rules.Default(0)),
			rules.At("spec.limited.nominalConcurrencyShares", rules.Default(30)),
			rules.At("spec.limited.lendablePercent", rules.Default(0)),
			rules.At("spec.limited.limitResponse.queuing.handSize", rules.Default(8)),
			rules.At("spec.limited.limitResponse.queuing.queues", rules.Default(64)),
			rules.At("spec.limited.limitResponse.queuing.queueLengthLimit", rules.Default(50)),
			rules.At("", rules.Check(checkRoundTrip), rules.Check(checkLevel())),
			rules.At("", rules.Check(checkMandatoryLevel)),
			conditions,
		},
		Parts: map[string]rules.Part[flowcontrolv1.PriorityLevelConfiguration]{"status": {Fields: []rules.Entry{conditions}}},
	})
}

// roundTripAnnotation carried a zero through an old version of the API that had another default.
const roundTripAnnotation = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"

func checkRoundTrip(c *rules.Checker, l, _ *flowcontrolv1.PriorityLevelConfiguration) {
	if _, ok := l.Annotations[roundTripAnnotation]; ok {
		c.Add(field.Forbidden(c.At("metadata", "annotations"), fmt.Sprintf("annotation '%s' is forbidden", roundTripAnnotation)))
	}
}

// checkLevel asks for the member that the type names and checks it.
func checkLevel() func(c *rules.Checker, l, _ *flowcontrolv1.PriorityLevelConfiguration) {
	exempt := rules.Of[flowcontrolv1.ExemptPriorityLevelConfiguration](
		rules.At("nominalConcurrencyShares", notNegative("must be a non-negative integer")),
		rules.At("lendablePercent", percent()),
	)
	limited := rules.Of[flowcontrolv1.LimitedPriorityLevelConfiguration](
		rules.At("nominalConcurrencyShares", notNegative("must be a non-negative integer")),
		rules.At("limitResponse", rules.Check(checkLimitResponse)),
		rules.At("lendablePercent", percent()),
		rules.At("borrowingLimitPercent", notNegative("if specified, must be a non-negative integer")),
	)
	return func(c *rules.Checker, l, _ *flowcontrolv1.PriorityLevelConfiguration) {
		s := &l.Spec
		if (l.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt) != (s.Type == flowcontrolv1.PriorityLevelEnablementExempt) {
			c.Add(field.Invalid(c.At("spec", "type"), s.Type, "must be 'Exempt' if and only if `name` is 'exempt'"))
		}
		switch s.Type {
		case flowcontrolv1.PriorityLevelEnablementExempt:
			if s.Limited != nil {
				c.Add(field.Forbidden(c.At("spec", "limited"), "must be nil if the type is not Limited"))
			}
			if s.Exempt != nil {
				rules.In(c, exempt, s.Exempt, nil, "spec", "exempt")
			}
		case flowcontrolv1.PriorityLevelEnablementLimited:
			if s.Exempt != nil {
				c.Add(field.Forbidden(c.At("spec", "exempt"), "must be nil if the type is Limited"))
			}
			if s.Limited == nil {
				c.Add(field.Required(c.At("spec", "limited"), "must not be empty when type is Limited"))
			} else {
				rules.In(c, limited, s.Limited, nil, "spec", "limited")
			}
		case "":
			c.Add(field.Required(c.At("spec", "type"), ""))
		default:
			c.Add(field.NotSupported(c.At("spec", "type"), s.Type, []string{"Exempt", "Limited"}))
		}
	}
}

func notNegative(detail string) rules.Rule {
	return rules.Check(func(c *rules.Checker, n, _ *int32) {
		if *n < 0 {
			c.Add(field.Invalid(c.Path(), *n, detail))
		}
	})
}

func percent() rules.Rule {
	return rules.Check(func(c *rules.Checker, n, _ *int32) {
		if *n < 0 || *n > 100 {
			c.Add(field.Invalid(c.Path(), *n, "must be between 0 and 100, inclusive"))
		}
	})
}

func checkLimitResponse(c *rules.Checker, r, _ *flowcontrolv1.LimitResponse) {
	switch r.Type {
	case flowcontrolv1.LimitResponseTypeReject:
		if r.Queuing != nil {
			c.Add(field.Forbidden(c.At("queuing"), "must be nil if limited.limitResponse.type is not Limited"))
		}
	case flowcontrolv1.LimitResponseTypeQueue:
		if r.Queuing == nil {
			c.Add(field.Required(c.At("queuing"), "must not be empty if limited.limitResponse.type is Limited"))
		} else {
			checkQueuing(c, r.Queuing)
		}
	case "":
		c.Add(field.Required(c.At("type"), ""))
	default:
		c.Add(field.NotSupported(c.At("type"), r.Type, []string{"Queue", "Reject"}))
	}
}

const (
	maxQueues   = 10_000_000
	maxHashBits = 60 // of the hash that deals a flow its hand of queues
)

func checkQueuing(c *rules.Checker, q *flowcontrolv1.QueuingConfiguration) {
	invalid := func(name string, n int32, detail string) { c.Add(field.Invalid(c.At("queuing", name), n, detail)) }
	if q.QueueLengthLimit <= 0 {
		invalid("queueLengthLimit", q.QueueLengthLimit, "must be positive")
	}
	switch {
	case q.Queues <= 0:
		invalid("queues", q.Queues, "must be positive")
	case q.Queues > maxQueues:
		invalid("queues", q.Queues, fmt.Sprintf("must not be greater than %d", maxQueues))
	}
	switch {
	case q.HandSize <= 0:
		invalid("handSize", q.HandSize, "must be positive")
	case q.HandSize > q.Queues:
		invalid("handSize", q.HandSize, fmt.Sprintf("should not be greater than queues (%d)", q.Queues))
	case math.Ceil(math.Log2(float64(q.Queues))*float64(q.HandSize)) > maxHashBits:
		invalid("handSize", q.HandSize, fmt.Sprintf("required entropy bits of deckSize %d and handSize %d should not be greater than %d",
			q.Queues, q.HandSize, maxHashBits))
	}
}

// checkMandatoryLevel keeps the two levels that are always there as they are, but for the shares of the exempt one.
func checkMandatoryLevel(c *rules.Checker, l, _ *flowcontrolv1.PriorityLevelConfiguration) {
	switch l.Name {
	case flowcontrolv1.PriorityLevelConfigurationNameExempt:
		if l.Spec.Type != flowcontrolv1.PriorityLevelEnablementExempt || l.Spec.Limited != nil {
			c.Add(field.Invalid(c.At("spec"), rules.Shown(l.Spec),
				fmt.Sprintf("spec of '%s' except the 'spec.exempt' field must equal the fixed value", l.Name)))
		}
	case flowcontrolv1.PriorityLevelConfigurationNameCatchAll:
		shares, lendable := int32(5), int32(0)
		want := flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: &shares, LendablePercent: &lendable,
				LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
			},
		}
		if !apiequality.Semantic.DeepEqual(l.Spec, want) {
			c.Add(field.Invalid(c.At("spec"), rules.Shown(l.Spec), fmt.Sprintf("spec of '%s' must equal the fixed value", l.Name)))
		}
	}
}
