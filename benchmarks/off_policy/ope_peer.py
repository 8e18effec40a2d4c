"""What obp 0.5.7 says of a log: runs in an environment of its own (`make obp`), for `ope.py`.

    .obp/bin/python benchmarks/off_policy/ope_peer.py DATA LOGGED_BY OUT

DATA: folder of the Open Bandit Dataset, unpacked. LOGGED_BY: random or bts; the other one is the
target. OUT: an .npz with the arrays that any estimator needs, among them the predictions of obp's
cross-fitted reward model, and obp's own figures.
"""

import sys

import numpy as np
from obp.dataset import OpenBanditDataset
from obp.ope import (
    DirectMethod,
    DoublyRobust,
    DoublyRobustWithShrinkage,
    InverseProbabilityWeighting,
    RegressionModel,
    SelfNormalizedInverseProbabilityWeighting,
    SwitchDoublyRobust,
)
from obp.policy import BernoulliTS, Random
from sklearn.linear_model import LogisticRegression

TAU, LAMBDA, FOLDS, SEED = 5.0, 10.0, 3, 12345


def main(data: str, logged_by: str, out: str) -> None:
    log = OpenBanditDataset(logged_by, "men", data).obtain_batch_bandit_feedback()
    n_actions, len_list = int(log["n_actions"]), 3
    if logged_by == "random":
        target = BernoulliTS(
            n_actions=n_actions,
            len_list=len_list,
            is_zozotown_prior=True,
            campaign="men",
            random_state=SEED,
        )
        chances = target.compute_batch_action_dist(n_sim=100_000, n_rounds=log["n_rounds"])
    else:
        target = Random(n_actions=n_actions, len_list=len_list, random_state=SEED)
        chances = target.compute_batch_action_dist(n_rounds=log["n_rounds"])
    model = RegressionModel(
        n_actions=n_actions,
        len_list=len_list,
        action_context=log["action_context"],
        base_model=LogisticRegression(C=100, max_iter=1000, random_state=SEED),
    )
    predicted = model.fit_predict(
        context=log["context"],
        action=log["action"],
        reward=log["reward"],
        pscore=log["pscore"],
        position=log["position"],
        n_folds=FOLDS,
        random_state=SEED,
    )
    given = {
        "reward": log["reward"],
        "action": log["action"],
        "position": log["position"],
        "pscore": log["pscore"],
        "action_dist": chances,
        "estimated_rewards_by_reg_model": predicted,
    }
    estimators = {
        "ips": InverseProbabilityWeighting(),
        "snips": SelfNormalizedInverseProbabilityWeighting(),
        "dm": DirectMethod(),
        "dr": DoublyRobust(),
        "switch_dr": SwitchDoublyRobust(lambda_=TAU),
        "dros": DoublyRobustWithShrinkage(lambda_=LAMBDA),
    }
    row, at = np.arange(log["n_rounds"]), log["position"]
    np.savez(
        out,
        target=chances[row, log["action"], at],
        propensity=log["pscore"],
        rewards=log["reward"],
        q_logged=predicted[row, log["action"], at],
        q_target=(chances * predicted)[row, :, at].sum(axis=1),
        action=log["action"],
        position=at,
        probabilities=chances[row, :, at],
        offered=predicted[row, :, at],
        tau=TAU,
        lam=LAMBDA,
        **{
            f"obp_{name}": estimator.estimate_policy_value(**given)
            for name, estimator in estimators.items()
        },
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
