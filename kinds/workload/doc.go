// Package workload holds the rules of the kinds that run pods or watch over them: replication controllers and pod templates, the
// kinds of apps and batch, autoscalers and disruption budgets. Each function returns one kind; nothing is kept between calls.
package workload
